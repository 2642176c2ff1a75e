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
  /// Whether 3x3 max pooling of stride 2 follows the stem.
  private let poolsStem: Bool

  /// - Parameter generator: draws the linear layer's initial weights, after those of the stem and the stages.
  init(stem: Conv2d, poolsStem: Bool = false, stages: [Sequential], features: Int, classes: Int, generator: Generator) {
    conv1 = stem
    bn1 = BatchNorm2d(stem.weight.value.size(0))
    layer1 = stages[0]
    layer2 = stages[1]
    layer3 = stages[2]
    layer4 = stages.count > 3 ? stages[3] : nil
    linear = Linear(features, classes, generator: generator)
    self.poolsStem = poolsStem
  }

  private var stages: [Sequential] { [layer1, layer2, layer3, layer4].compactMap { $0 } }

  public func callAsFunction(_ input: Tensor) -> Tensor {
    answer(to: bn1(conv1(input)), stages.map { stage -> (Tensor) -> Tensor in { stage($0) } }) { linear($0) }
  }

  /// - Parameter inputShape: [3, H, W].
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

/// Two 3x3 convolutions with BatchNorm around a shortcut, and the ReLU behind the sum.
class PostActivationBlock: Module, Layer {
  let conv1: Conv2d
  let bn1: BatchNorm2d
  let conv2: Conv2d
  let bn2: BatchNorm2d
  /// A 1x1 convolution and BatchNorm on the shortcut of a block that changes the shape, else nil.
  let projection: Sequential?

  /// - Parameter projects: whether a shortcut that changes the shape is a convolution.
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
  /// - Parameters:
  ///   - shape: [C, H, W] of the block's input; the function replaces it with the shape of the output.
  ///   - dtype: the dtype of the computation.
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
  /// Returns a stage of a residual network: `count` blocks; only the first changes the channels and the resolution.
  static func stage(
    _ count: Int, _ inputs: Int, _ outputs: Int, stride: Int, _ block: (_ inputs: Int, _ outputs: Int, _ stride: Int) -> any Layer
  ) -> Sequential { Sequential((0..<count).map { block($0 == 0 ? inputs : outputs, outputs, $0 == 0 ? stride : 1) }) }
}
