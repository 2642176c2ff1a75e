public import SwiftTorch

/// The common part of residual networks with the ReLU behind the sum.
///
/// A stem, three or four stages of blocks, the mean over the pixels and a linear layer. Images [N, 3, H, W] to logits [N, classes].
public class PostActivationResNet: Module, Preparable {
  let conv1: Conv2d
  let bn1: BatchNorm2d
  let layer1: Sequential
  let layer2: Sequential
  let layer3: Sequential
  let layer4: Sequential?
  let linear: Linear
  private let poolsStem: Bool

  /// Makes stages with a number of blocks and a width each; 3x3 max pooling of stride 2 follows the stem if `poolsStem`.
  init(
    stem: Conv2d, poolsStem: Bool = false, blocks: [Int], widths: [Int], classes: Int, generator: Generator,
    _ block: (_ inputs: Int, _ outputs: Int, _ stride: Int) -> PostActivationBlock
  ) {
    conv1 = stem
    bn1 = BatchNorm2d(widths[0])
    let stages = Sequential.stages(blocks, widths, from: widths[0], block)
    layer1 = stages[0]
    layer2 = stages[1]
    layer3 = stages[2]
    layer4 = stages.count > 3 ? stages[3] : nil
    linear = Linear(widths[widths.count - 1], classes, generator: generator)
    self.poolsStem = poolsStem
  }

  private var stages: [Sequential] { [layer1, layer2, layer3, layer4].compactMap { $0 } }

  public func callAsFunction(_ input: Tensor) -> Tensor {
    answer(to: bn1(conv1(input)), stages.map { stage -> (Tensor) -> Tensor in { stage($0) } }) { linear($0) }
  }

  public func prepared(inputShape: [Int], dtype: DType?) -> (Tensor) -> Tensor {
    let dtype = dtype ?? conv1.weight.value.dtype
    let stem = conv1.followed(by: bn1).prepared(inputShape: inputShape, dtype: dtype)
    var shape = conv1.outputShape(of: inputShape)
    if poolsStem { shape = [shape[0], (shape[1] - 1) / 2 + 1, (shape[2] - 1) / 2 + 1] }
    let blocks = stages.flatMap(\.layers).map { ($0 as! PostActivationBlock).prepared(&shape, dtype) }
    let linear = linear.prepared(dtype: dtype)
    return { self.answer(to: stem($0.to(dtype)), blocks, linear) }
  }

  /// Computes all layers behind the stem's BatchNorm.
  private func answer(to stem: Tensor, _ blocks: [(Tensor) -> Tensor], _ linear: (Tensor) -> Tensor) -> Tensor {
    let activated = stem.reluInPlace()
    let start = poolsStem ? activated.maxPool2d(3, stride: 2, padding: 1) : activated
    return linear(blocks.reduce(start) { $1($0) }.adaptiveAveragePool2d(1).flattened(from: 1))
  }
}

/// ResNet-18 for CIFAR (`resnet18`): a 3x3 stem without pooling, widths 64-128-256-512; 11,173,962 parameters at 10 classes.
///
/// Images [N, 3, 32, 32] to logits [N, classes]. The keys match the common public CIFAR checkpoints: conv1, bn1,
/// layer1 to layer4 . {0, 1} . {conv1, bn1, conv2, bn2, shortcut.0, shortcut.1}, linear. PyTorch's default initialisation.
public final class ResNet18: PostActivationResNet {
  public init(classes: Int = 10, generator: Generator) {
    let stem = Conv2d(3, 64, kernel: 3, padding: 1, bias: false, generator: generator)
    super.init(stem: stem, blocks: [2, 2, 2, 2], widths: [64, 128, 256, 512], classes: classes, generator: generator) {
      Block($0, $1, stride: $2, generator: generator)
    }
  }

  private final class Block: PostActivationBlock { override class var stateNames: [String: String] { ["projection": "shortcut"] } }
}

/// The CIFAR ResNet-20 of He et al. 2016, section 4.2, widths 16-32-64 (`resnet20`); 269,722 parameters at 10 classes.
///
/// Images [N, 3, 32, 32] to logits [N, classes]. The keys match the common public checkpoints: conv1, bn1,
/// layer1 to layer3 . 0 to 2 . {conv1, bn1, conv2, bn2}, linear. Convolution and linear weights start Kaiming-normal (fan-in).
public final class ResNet20: PostActivationResNet {
  public init(classes: Int = 10, generator: Generator) {
    let stem = Conv2d(3, 16, kernel: 3, padding: 1, bias: false, generator: generator)
    super.init(stem: stem, blocks: [3, 3, 3], widths: [16, 32, 64], classes: classes, generator: generator) {
      Block($0, $1, stride: $2, generator: generator)
    }
    for module in modules {
      if let weight = (module as? Conv2d)?.weight ?? (module as? Linear)?.weight {
        Initialization.kaimingNormal(weight.value, generator: generator)
      }
    }
  }

  /// A block with a shortcut without parameters (He et al. 2016, option A): it takes every second pixel and adds zero channels.
  private final class Block: PostActivationBlock {
    private let stride: Int
    /// The number of zero channels on each side.
    private let added: Int

    init(_ inputs: Int, _ outputs: Int, stride: Int, generator: Generator) {
      self.stride = stride
      added = (outputs - inputs) / 2
      super.init(inputs, outputs, stride: stride, projects: false, generator: generator)
    }

    override func shortcut(_ input: Tensor) -> Tensor {
      let pixels = stride == 1 ? input : input[.all, .all, .stride(by: stride), .stride(by: stride)]
      return added == 0 ? pixels : pixels.padded([0, 0, 0, 0, added, added])
    }
  }
}

/// ResNet-34 (He et al. 2016) in torchvision's layout (`resnet34`), for images of 224 x 224; 21,289,802 parameters at 10 classes.
///
/// Images [N, 3, 224, 224] to logits [N, classes]; the network also accepts any other size from 33 on. Keys: conv1, bn1,
/// layer1 to layer4 . i . {conv1, bn1, conv2, bn2, downsample.0, downsample.1}, fc. Convolution weights start Kaiming-normal
/// (fan-out, ReLU gain); all other parameters start as in PyTorch.
public final class ResNet34: PostActivationResNet {
  public override class var stateNames: [String: String] { ["linear": "fc"] }

  public init(classes: Int = 10, generator: Generator) {
    let stem = Conv2d(3, 64, kernel: 7, stride: 2, padding: 3, bias: false, generator: generator)
    super.init(
      stem: stem, poolsStem: true, blocks: [3, 4, 6, 3], widths: [64, 128, 256, 512], classes: classes, generator: generator
    ) { Block($0, $1, stride: $2, generator: generator) }
    initializeConvolutions(generator)
  }

  private final class Block: PostActivationBlock {
    override class var stateNames: [String: String] { ["projection": "downsample"] }
  }
}

/// Two 3x3 convolutions with BatchNorm around a shortcut, and the ReLU behind the sum.
class PostActivationBlock: Module, Layer {
  let conv1: Conv2d
  let bn1: BatchNorm2d
  let conv2: Conv2d
  let bn2: BatchNorm2d
  /// A 1x1 convolution and BatchNorm on the shortcut of a block that changes the shape, else nil; always nil without `projects`.
  let projection: Sequential?

  init(_ inputs: Int, _ outputs: Int, stride: Int, projects: Bool = true, generator: Generator) {
    conv1 = Conv2d(inputs, outputs, kernel: 3, stride: stride, padding: 1, bias: false, generator: generator)
    bn1 = BatchNorm2d(outputs)
    conv2 = Conv2d(outputs, outputs, kernel: 3, padding: 1, bias: false, generator: generator)
    bn2 = BatchNorm2d(outputs)
    projection =
      projects && (stride != 1 || inputs != outputs)
      ? Sequential(Conv2d(inputs, outputs, kernel: 1, stride: stride, bias: false, generator: generator), BatchNorm2d(outputs))
      : nil
  }

  final func callAsFunction(_ input: Tensor) -> Tensor {
    let y = bn2(conv2(bn1(conv1(input)).reluInPlace()))
    return (y + shortcut(input)).reluInPlace()
  }

  func shortcut(_ input: Tensor) -> Tensor { projection.map { $0(input) } ?? input }

  /// Returns the block in evaluation mode with its BatchNorm folded into its convolutions.
  ///
  /// `shape` is [C, H, W] of the input and becomes that of the output.
  final func prepared(_ shape: inout [Int], _ dtype: DType) -> (Tensor) -> Tensor {
    let first = conv1.followed(by: bn1).prepared(inputShape: shape, dtype: dtype)
    let project = projection.map {
      ($0.layers[0] as! Conv2d).followed(by: $0.layers[1] as! BatchNorm2d).prepared(inputShape: shape, dtype: dtype)
    }
    shape = conv1.outputShape(of: shape)
    let second = conv2.followed(by: bn2).prepared(inputShape: shape, dtype: dtype)
    return { input in second(first(input).reluInPlace()).addInPlace(project?(input) ?? self.shortcut(input)).reluInPlace() }
  }
}

extension Sequential {
  /// Returns the stages of a residual network with a number of blocks and a width for each; `inputs` channels enter the first.
  ///
  /// The first block of a stage changes the channels and halves the resolution; in the first stage the resolution stays.
  static func stages(
    _ counts: [Int], _ widths: [Int], from inputs: Int, _ block: (_ inputs: Int, _ outputs: Int, _ stride: Int) -> any Layer
  ) -> [Sequential] {
    var channels = inputs
    return counts.indices.map { stage in
      Sequential(
        (0..<counts[stage]).map { i in
          defer { channels = widths[stage] }
          return block(channels, widths[stage], stage > 0 && i == 0 ? 2 : 1)
        })
    }
  }
}

extension Module {
  /// Draws the weights of all convolutions Kaiming-normal (fan-out, ReLU gain).
  func initializeConvolutions(_ generator: Generator) {
    for layer in modules.compactMap({ $0 as? Conv2d }) {
      Initialization.kaimingNormal(layer.weight.value, fan: .output, nonlinearity: .relu, generator: generator)
    }
  }
}
