public import SwiftTorch

/// The wide residual network (Zagoruyko and Komodakis 2016) in the form of TRADES and the SAT paper (`wrn34-10`).
///
/// Depth 6n + 4, widths 16, 16k, 32k, 64k; 46,160,474 parameters at depth 34, width 10 and 10 classes.
///
/// Images [N, 3, 32, 32] to logits [N, classes]. Keys: conv1, block1 to block3 . layer . 0 to n - 1 . {bn1, conv1, bn2, conv2,
/// convShortcut}, bn1, fc. Convolution weights start normal with the deviation sqrt(2 / (k² · outputs)), where k is the kernel's
/// size. The bias of `fc` starts at zero. All other parameters start as in PyTorch. TRADES' class registers a `sub_block1` that its
/// forward pass does not use, so this class lacks it and `ModelFile` drops it from files.
public final class WideResNet: Module, Layer {
  let conv1: Conv2d
  let block1: Stage
  let block2: Stage
  let block3: Stage
  let bn1: BatchNorm2d
  let fc: Linear

  /// Makes the network.
  ///
  /// - Parameters:
  ///   - classes: the number of classes.
  ///   - depth: 6n + 4 for n blocks per stage.
  ///   - width: the factor k.
  ///   - generator: draws the initial weights.
  public init(classes: Int = 10, depth: Int = 34, width: Int = 10, generator: Generator) {
    precondition(depth >= 10 && depth % 6 == 4, "WideResNet: depth \(depth); expected 6n + 4")
    precondition(width >= 1, "WideResNet: width \(width); expected at least 1")
    let blocks = (depth - 4) / 6
    conv1 = Conv2d(3, 16, kernel: 3, padding: 1, bias: false, generator: generator)
    block1 = Stage(16, 16 * width, blocks: blocks, stride: 1, generator: generator)
    block2 = Stage(16 * width, 32 * width, blocks: blocks, stride: 2, generator: generator)
    block3 = Stage(32 * width, 64 * width, blocks: blocks, stride: 2, generator: generator)
    bn1 = BatchNorm2d(64 * width)
    fc = Linear(64 * width, classes, generator: generator)
    super.init()
    for layer in modules.compactMap({ $0 as? Conv2d }) {
      Initialization.kaimingNormal(layer.weight.value, fan: .output, nonlinearity: .relu, generator: generator)
    }
    if let bias = fc.bias { Initialization.constant(bias.value, 0) }
  }

  /// Returns the depth and the width that the keys and shapes of a file imply; nil when they imply none.
  static func options(of shapes: [String: [Int]]) -> [String: Int]? {
    let blocks = (0...).prefix { shapes["block1.layer.\($0).conv1.weight"] != nil }.count
    guard blocks > 0, let channels = shapes["block1.layer.0.conv1.weight"]?.first, channels > 0, channels % 16 == 0 else {
      return nil
    }
    return ["depth": 6 * blocks + 4, "width": channels / 16]
  }

  public func callAsFunction(_ input: Tensor) -> Tensor {
    let x = block3(block2(block1(conv1(input))))
    return fc(bn1(x).reluInPlace().averagePool2d(8).flattened(from: 1))
  }

  /// A stage of blocks with one width.
  final class Stage: Module, Layer {
    let layer: Sequential

    init(_ inputs: Int, _ outputs: Int, blocks: Int, stride: Int, generator: Generator) {
      layer = .stage(blocks, inputs, outputs, stride: stride) { Block($0, $1, stride: $2, generator: generator) }
    }

    func callAsFunction(_ input: Tensor) -> Tensor { layer(input) }
  }

  /// Two groups of BatchNorm, ReLU and a 3x3 convolution; if the width changes, the shortcut convolves (1x1) the activated input.
  final class Block: Module, Layer {
    let bn1: BatchNorm2d
    let conv1: Conv2d
    let bn2: BatchNorm2d
    let conv2: Conv2d
    let convShortcut: Conv2d?

    init(_ inputs: Int, _ outputs: Int, stride: Int, generator: Generator) {
      bn1 = BatchNorm2d(inputs)
      conv1 = Conv2d(inputs, outputs, kernel: 3, stride: stride, padding: 1, bias: false, generator: generator)
      bn2 = BatchNorm2d(outputs)
      conv2 = Conv2d(outputs, outputs, kernel: 3, padding: 1, bias: false, generator: generator)
      convShortcut = inputs != outputs ? Conv2d(inputs, outputs, kernel: 1, stride: stride, bias: false, generator: generator) : nil
    }

    func callAsFunction(_ input: Tensor) -> Tensor {
      let activated = bn1(input).reluInPlace()
      let y = conv2(bn2(conv1(activated)).reluInPlace())
      return y + (convShortcut.map { $0(activated) } ?? input)
    }
  }
}
