internal import SwiftTorch

/// A chain of pre-activation residual blocks in evaluation mode with their BatchNorm folded away.
///
/// BatchNorm and ReLU map x to relu(s x + t). For s > 0 this equals s relu(x + t/s). The chain moves the factor s into the next
/// convolutions and stores x + t/s instead of x: the bias of each block's last convolution adds the offset of the next block. Only
/// the ReLU remains. A layer computes scale and shift directly if an s is not positive, or so small that t/s would cost accuracy.
struct PreActivationChain {
  private let stem: (Tensor) -> Tensor
  private let blocks: [(Tensor) -> Tensor]
  private let last: Activation?

  /// Folds the BatchNorm layers for inputs of shape [C, H, W]; `last` is the BatchNorm of an activation behind the blocks.
  init(stem: Conv2d, blocks: [PreActivationBlock], last: BatchNorm2d?, inputShape: [Int], dtype: DType) {
    let activations = blocks.map { Activation($0.bn1, dtype) }
    // No convolution follows the last activation, so its factor has no place to go and it keeps scale and shift.
    self.last = last.map { Activation($0, dtype, offset: false) }
    var shape = stem.outputShape(of: inputShape)
    self.stem = (activations.first?.offset.map(stem.addingToOutputs) ?? stem).prepared(inputShape: inputShape, dtype: dtype)
    var functions: [(Tensor) -> Tensor] = []
    for (i, block) in blocks.enumerated() {
      functions.append(
        Self.prepared(block, activations[i], next: i + 1 < blocks.count ? activations[i + 1].offset : nil, shape, dtype))
      shape = block.conv1.outputShape(of: shape)
    }
    self.blocks = functions
  }

  /// Maps [N, C, H, W] to the output of the last block, activated if `last` is given.
  func callAsFunction(_ input: Tensor) -> Tensor {
    let output = blocks.reduce(stem(input)) { $1($0) }
    return last.map { $0.apply(output, mayOverwrite: true) } ?? output
  }

  private static func prepared(
    _ block: PreActivationBlock, _ activation: Activation, next: Tensor?, _ shape: [Int], _ dtype: DType
  ) -> (Tensor) -> Tensor {
    let middle = block.conv1.outputShape(of: shape)
    let conv1 = activation.absorbed(by: block.conv1).followed(by: block.bn2).prepared(inputShape: shape, dtype: dtype)
    // The number to add to the sum so that it has the next block's offset.
    var shift = next
    var project: ((Tensor) -> Tensor)?
    if let shortcut = block.shortcut {
      if block.rawShortcut, let offset = activation.offset {
        // A 1x1 convolution has no padding, so the offset contributes the same number at every pixel.
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
    /// The offset that the input already contains, [C] in float64; the next convolutions then apply the factor. Nil if `apply` does
    /// scale and shift.
    let offset: Tensor?
    private let factor: Tensor
    /// The scale, [C, 1, 1], in the dtype of the computation; `shift` is alike.
    private let scale: Tensor
    private let shift: Tensor

    init(_ norm: BatchNorm2d, _ dtype: DType, offset mayOffset: Bool = true) {
      let (scale, shift) = norm.scaleAndShift
      factor = scale
      (self.scale, self.shift) = withNoGrad { (scale.reshaped(to: -1, 1, 1).to(dtype), shift.reshaped(to: -1, 1, 1).to(dtype)) }
      offset = withNoGrad {
        guard mayOffset, scale.min().item() > 0 else { return nil }
        let offset = shift / scale
        // An offset of sixteen deviations of the input costs four of its bits; the half precisions cannot spare these bits.
        let deviations = offset.abs() / (norm.runningVariance.value.to(.float64) + norm.epsilon).sqrt()
        return deviations.max().item() <= (dtype.size > 2 ? 16 : 1) ? offset : nil
      }
    }

    /// Returns the convolution of the output of `apply`, with the factor if `apply` leaves it out.
    func absorbed(by layer: Conv2d) -> Conv2d { offset == nil ? layer : layer.scalingInputs(by: factor) }

    func apply(_ input: Tensor, mayOverwrite: Bool) -> Tensor {
      if offset == nil { return shift.addingProduct(input, scale).reluInPlace() }
      return mayOverwrite ? input.reluInPlace() : input.relu()
    }
  }
}
