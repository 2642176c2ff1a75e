internal import SwiftTorch

/// Pre-activation residual blocks in evaluation mode with their BatchNorm folded away.
///
/// BatchNorm and ReLU of an input x, relu(s x + t) with s > 0, is s relu(x + t/s). The factor goes into the convolutions behind it, and
/// x is kept as x + t/s throughout: the last convolution of a block moves its result to the offset that the next block wants, in
/// its bias. What is left of BatchNorm is the ReLU. A layer whose s is not positive, or so small that t/s would cost the sum its
/// accuracy, is computed as scale and shift.
struct PreActivationChain {
  /// The layers of a block, whatever the network calls them.
  struct Block {
    var bn1: BatchNorm2d
    var conv1: Conv2d
    var bn2: BatchNorm2d
    var conv2: Conv2d
    var shortcut: Conv2d?
    /// Whether the shortcut's convolution sees the input as it is rather than activated.
    var rawShortcut = false
  }

  private let stem: (Tensor) -> Tensor
  private let blocks: [(Tensor) -> Tensor]
  private let last: Activation?

  /// - Parameters:
  ///   - last: BatchNorm and ReLU behind the blocks.
  ///   - inputShape: [C, H, W] of the stem's input.
  ///   - dtype: to compute in.
  init(stem: Conv2d, blocks: [Block], last: BatchNorm2d?, inputShape: [Int], dtype: DType) {
    let activations = blocks.map { Activation($0.bn1, dtype) }
    // After the blocks comes an activation whose factor has no convolution to go into, or none.
    let end = last.map { Activation($0, dtype, offset: false) }
    var shape = stem.outputShape(of: inputShape)
    self.stem = (activations.first?.offset.map(stem.addingToOutputs) ?? stem).prepared(inputShape: inputShape, dtype: dtype)
    var functions: [(Tensor) -> Tensor] = []
    for (i, block) in blocks.enumerated() {
      functions.append(Self.prepared(block, activations[i], next: i + 1 < blocks.count ? activations[i + 1].offset : nil, shape, dtype))
      shape = block.conv1.outputShape(of: shape)
    }
    (self.blocks, self.last) = (functions, end)
  }

  /// [N, C, H, W] to the activated output of the last block.
  func callAsFunction(_ input: Tensor) -> Tensor {
    let output = blocks.reduce(stem(input)) { $1($0) }
    return last.map { $0.apply(output, mayOverwrite: true) } ?? output
  }

  private static func prepared(
    _ block: Block, _ activation: Activation, next: Tensor?, _ shape: [Int], _ dtype: DType
  ) -> (Tensor) -> Tensor {
    let middle = block.conv1.outputShape(of: shape)
    let conv1 = activation.absorbed(by: block.conv1).followed(by: block.bn2).prepared(inputShape: shape, dtype: dtype)
    // What the sum has to be moved by, to stand at the next block's offset.
    var shift = next
    var project: ((Tensor) -> Tensor)?
    if let shortcut = block.shortcut {
      if block.rawShortcut, let offset = activation.offset {
        // A 1x1 convolution sees no padding, so what the offset gives is the same everywhere.
        let weight = withNoGrad { shortcut.weight.value.detached().to(.float64).flattened(from: 1) }
        project = shortcut.addingToOutputs(withNoGrad { -weight.matmul(offset) }).prepared(inputShape: shape, dtype: dtype)
      } else {
        project = (block.rawShortcut ? shortcut : activation.absorbed(by: shortcut)).prepared(inputShape: shape, dtype: dtype)
      }
    } else if let offset = activation.offset {
      shift = withNoGrad { shift.map { $0 - offset } ?? -offset }
    }
    let conv2 = (shift.map(block.conv2.addingToOutputs) ?? block.conv2).prepared(inputShape: middle, dtype: dtype)
    let activatesShortcut = block.shortcut != nil && !block.rawShortcut
    return { input in
      let activated = activation.apply(input, mayOverwrite: activatesShortcut)
      let y = conv2(conv1(activated).reluInPlace())
      return y.addInPlace(project.map { $0(activatesShortcut ? activated : input) } ?? input)
    }
  }

  /// BatchNorm and ReLU in evaluation mode.
  private struct Activation {
    /// The number that is added to the input before it comes here, [C] in float64; the factor is left to the next convolutions then.
    let offset: Tensor?
    private let factor: Tensor
    /// [C, 1, 1], of the layer's dtype.
    private let scale: Tensor
    private let shift: Tensor

    init(_ norm: BatchNorm2d, _ dtype: DType, offset mayOffset: Bool = true) {
      let (scale, shift) = norm.scaleAndShift
      factor = scale
      (self.scale, self.shift) = withNoGrad { (scale.reshaped(to: -1, 1, 1).to(dtype), shift.reshaped(to: -1, 1, 1).to(dtype)) }
      offset = withNoGrad {
        guard mayOffset, scale.min().item() > 0 else { return nil }
        let offset = shift / scale
        // An offset of sixteen deviations of the input costs four of its bits, of which the half precisions have none to spare.
        let deviations = offset.abs() / (norm.runningVariance.value.to(.float64) + norm.epsilon).sqrt()
        return deviations.max().item() <= (dtype.size > 2 ? 16 : 1) ? offset : nil
      }
    }

    /// The convolution of what `apply` leaves.
    func absorbed(by layer: Conv2d) -> Conv2d { offset == nil ? layer : layer.scalingInputs(by: factor) }

    func apply(_ input: Tensor, mayOverwrite: Bool) -> Tensor {
      if offset == nil { return shift.addingProduct(input, scale).reluInPlace() }
      return mayOverwrite ? input.reluInPlace() : input.relu()
    }
  }
}
