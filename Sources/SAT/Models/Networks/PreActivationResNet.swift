public import SwiftTorch

/// The common part of residual networks with BatchNorm and the ReLU before each convolution (He et al. 2016, "Identity Mappings in
/// Deep Residual Networks").
///
/// A 3x3 stem, three or four stages of blocks, perhaps a last BatchNorm with a ReLU, the mean over the pixels and a linear layer.
/// Images [N, 3, 32, 32] to logits [N, classes].
public class PreActivationResNet: Module, Preparable {
  let conv1: Conv2d
  let layer1: Sequential
  let layer2: Sequential
  let layer3: Sequential
  let layer4: Sequential?
  let bn: BatchNorm2d?
  let linear: Linear

  /// Makes stages with a number of blocks and a width each; the stem has `stem` channels.
  init(
    stem: Int, blocks: [Int], widths: [Int], finalBN: Bool, classes: Int, generator: Generator,
    _ block: (_ inputs: Int, _ outputs: Int, _ stride: Int) -> PreActivationBlock
  ) {
    conv1 = Conv2d(3, stem, kernel: 3, padding: 1, bias: false, generator: generator)
    let stages = Sequential.stages(blocks, widths, from: stem, block)
    layer1 = stages[0]
    layer2 = stages[1]
    layer3 = stages[2]
    layer4 = stages.count > 3 ? stages[3] : nil
    let features = widths[widths.count - 1]
    bn = finalBN ? BatchNorm2d(features) : nil
    linear = Linear(features, classes, generator: generator)
  }

  private var stages: [Sequential] { [layer1, layer2, layer3, layer4].compactMap { $0 } }

  public func callAsFunction(_ input: Tensor) -> Tensor {
    let x = stages.reduce(conv1(input)) { $1($0) }
    return linear(pooled(bn.map { $0(x).reluInPlace() } ?? x))
  }

  public func prepared(inputShape: [Int], dtype: DType?) -> (Tensor) -> Tensor {
    let dtype = dtype ?? conv1.weight.value.dtype
    let blocks = stages.flatMap(\.layers).map { $0 as! PreActivationBlock }
    let chain = PreActivationChain(stem: conv1, blocks: blocks, last: bn, inputShape: inputShape, dtype: dtype)
    let linear = linear.prepared(dtype: dtype)
    return { linear(self.pooled(chain($0.to(dtype)))) }
  }

  private func pooled(_ x: Tensor) -> Tensor { x.averagePool2d(layer4 == nil ? 8 : 4).flattened(from: 1) }
}

/// The pre-activation ResNet that the SAT paper calls PRN-20 (`prn20`).
///
/// Blocks [2, 2, 2, 2] of widths 64-128-256-512; 11,171,146 parameters at 10 classes. Keys: conv1,
/// layer1 to layer4 . {0, 1} . {bn1, conv1, bn2, conv2, shortcut.0}, linear; with a last BatchNorm also bn. PyTorch's default
/// initialisation.
///
/// Public checkpoints with these keys come from three networks. The paper's network, the default here, has no last BatchNorm and
/// applies the shortcut convolution to the activated input. The network of Rice et al. and AWP adds `bn` and a ReLU before the
/// pooling. RobustBench's `PreActBlock` (Wong et al. 2020) applies the shortcut convolution to the raw input; a file does not show
/// the difference from the first network.
public final class PreActResNet: PreActivationResNet {
  /// Makes the network: `finalBN` adds the last BatchNorm and ReLU; with `rawShortcut` the shortcuts convolve the raw input.
  public init(classes: Int = 10, finalBN: Bool = false, rawShortcut: Bool = false, generator: Generator) {
    super.init(
      stem: 64, blocks: [2, 2, 2, 2], widths: [64, 128, 256, 512], finalBN: finalBN, classes: classes, generator: generator
    ) { Block($0, $1, stride: $2, rawShortcut: rawShortcut, generator: generator) }
  }

  private final class Block: PreActivationBlock { override class var stateNames: [String: String] { ["shortcut": "shortcut.0"] } }
}

/// The wide residual network (Zagoruyko and Komodakis 2016) in the form of TRADES and the SAT paper (`wrn34-10`).
///
/// Depth 6n + 4, widths 16, 16k, 32k, 64k; 46,160,474 parameters at depth 34, width 10 and 10 classes. Keys: conv1,
/// block1 to block3 . layer . 0 to n - 1 . {bn1, conv1, bn2, conv2, convShortcut}, bn1, fc. Convolution weights start normal with
/// the deviation sqrt(2 / (k² · outputs)), where k is the kernel's size. The bias of `fc` starts at zero. All other parameters
/// start as in PyTorch. TRADES' class registers a `sub_block1` that its forward pass does not use, so this class lacks it and
/// `ModelFile` drops it from files.
public final class WideResNet: PreActivationResNet {
  public override class var stateNames: [String: String] {
    ["layer1": "block1.layer", "layer2": "block2.layer", "layer3": "block3.layer", "bn": "bn1", "linear": "fc"]
  }

  /// Makes the network: a `depth` of 6n + 4 has n blocks per stage, and `width` is the factor k.
  public init(classes: Int = 10, depth: Int = 34, width: Int = 10, generator: Generator) {
    precondition(depth >= 10 && depth % 6 == 4, "WideResNet: depth \(depth); expected 6n + 4")
    precondition(width >= 1, "WideResNet: width \(width); expected at least 1")
    super.init(
      stem: 16, blocks: Array(repeating: (depth - 4) / 6, count: 3), widths: [16 * width, 32 * width, 64 * width], finalBN: true,
      classes: classes, generator: generator
    ) { Block($0, $1, stride: $2, generator: generator) }
    initializeConvolutions(generator)
    if let bias = linear.bias { Initialization.constant(bias.value, 0) }
  }

  /// Returns the depth and the width that the keys and shapes of a file imply; nil when they imply none.
  static func options(of shapes: [String: [Int]]) -> [String: Int]? {
    let blocks = (0...).prefix { shapes["block1.layer.\($0).conv1.weight"] != nil }.count
    guard blocks > 0, let channels = shapes["block1.layer.0.conv1.weight"]?.first, channels > 0, channels % 16 == 0 else {
      return nil
    }
    return ["depth": 6 * blocks + 4, "width": channels / 16]
  }

  private final class Block: PreActivationBlock {
    override class var stateNames: [String: String] { ["shortcut": "convShortcut"] }
  }
}

/// Two groups of BatchNorm, ReLU and a 3x3 convolution, and a shortcut.
class PreActivationBlock: Module, Layer {
  let bn1: BatchNorm2d
  let conv1: Conv2d
  let bn2: BatchNorm2d
  let conv2: Conv2d
  /// A 1x1 convolution in a block that changes the shape, else nil.
  let shortcut: Conv2d?
  /// True if the shortcut's convolution takes the raw input instead of the activated input.
  let rawShortcut: Bool

  init(_ inputs: Int, _ outputs: Int, stride: Int, rawShortcut: Bool = false, generator: Generator) {
    bn1 = BatchNorm2d(inputs)
    conv1 = Conv2d(inputs, outputs, kernel: 3, stride: stride, padding: 1, bias: false, generator: generator)
    bn2 = BatchNorm2d(outputs)
    conv2 = Conv2d(outputs, outputs, kernel: 3, padding: 1, bias: false, generator: generator)
    shortcut =
      stride != 1 || inputs != outputs
      ? Conv2d(inputs, outputs, kernel: 1, stride: stride, bias: false, generator: generator) : nil
    self.rawShortcut = rawShortcut
  }

  final func callAsFunction(_ input: Tensor) -> Tensor {
    let activated = bn1(input).reluInPlace()
    let y = conv2(bn2(conv1(activated)).reluInPlace())
    return y + (shortcut.map { $0(rawShortcut ? input : activated) } ?? input)
  }
}
