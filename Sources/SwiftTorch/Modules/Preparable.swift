/// A layer with a form of its own for many passes over unchanged weights, as the steps of an attack are.
public protocol Preparable: Layer {
  /// The layer as it is now, in evaluation mode, as a function of its input.
  ///
  /// It is differentiable with respect to the input only and does not see later changes of the weights. Values and gradients
  /// equal the layer's up to rounding; each sample's also depend on the size of its batch by rounding, but on no other sample.
  /// Not for use under `Torch.withAutocast`: the fast forms need float32 or float64.
  /// - Parameter inputShape: [C, H, W] of one input; the batches that follow are [N, C, H, W] with any N.
  func prepared(inputShape: [Int]) -> (Tensor) -> Tensor
}

extension Layer {
  /// The prepared form of a layer that has one, else the layer itself.
  public func preparedIfPossible(inputShape: [Int]) -> (Tensor) -> Tensor {
    (self as? any Preparable)?.prepared(inputShape: inputShape) ?? { self($0) }
  }
}

extension Conv2d: Preparable {
  /// - Parameter inputShape: [inputs, H, W].
  /// - Returns: a function of [N, inputs, H, W]. Its results lie in channels-last order on the CPU, and it is fastest on inputs that
  ///   do.
  public func prepared(inputShape: [Int]) -> (Tensor) -> Tensor {
    require(
      inputShape.count == 3 && inputShape[0] == weight.value.size(1) * groups,
      "Conv2d.prepared: inputs of shape \(inputShape); expected [\(weight.value.size(1) * groups), H, W]")
    switch fastestForm(height: inputShape[1], width: inputShape[2]) {
    case .rowUnfolded: return RowUnfoldedConvolution(self).callAsFunction
    case .bilinear(let algorithm):
      return BilinearConvolution(self, algorithm, height: inputShape[1], width: inputShape[2]).callAsFunction
    case .direct: return DirectConvolution(self).callAsFunction
    }
  }

  enum Form {
    case direct
    case rowUnfolded
    case bilinear(BilinearAlgorithm)
  }

  /// The form to prefer, by measurement on CPUs; elsewhere the vendor's own choice is left alone, as are the half precisions,
  /// which the intermediate values of the bilinear form exceed.
  ///
  /// Forward and input gradient together, row unfolding was 1.0 to 7 times as fast for a kernel of 5 or more and at most 3
  /// channels, and slower with 16. The bilinear form was 1.1 to 2.5 times as fast from 64 · 128 channels on with one tile of
  /// outputs, and 1.0 to 1.5 times from 128 · 128 with several; for kernels of 3 it lost accuracy or time.
  func fastestForm(height: Int, width: Int) -> Form {
    let shape = weight.value.shape
    guard weight.value.device == .cpu, [.float32, .float64].contains(weight.value.dtype) else { return .direct }
    if shape[1] <= 3, shape[2] >= 5, RowUnfoldedConvolution.fits(self) { return .rowUnfolded }
    let algorithm = BilinearAlgorithm.fourOutputsOfFiveTaps
    let isOneTile = [height, width].allSatisfy { $0 + 2 * padding == algorithm.inputs }
    if shape[0] * shape[1] >= (isOneTile ? 64 : 128) * 128,
      BilinearConvolution.fits(self, algorithm, height: height, width: width)
    {
      return .bilinear(algorithm)
    }
    return .direct
  }
}

/// The convolution itself with a copy of the weights, in channels-last order on the CPU.
struct DirectConvolution {
  private let weight: Tensor
  private let bias: Tensor?
  private let stride: [Int]
  private let padding: [Int]
  private let dilation: [Int]
  private let groups: Int

  init(_ layer: Conv2d) {
    let original = layer.weight.value.detached()
    // The order is made by hand, because `contiguous(.channelsLast)` takes weights of one input channel for channels-last already.
    (weight, bias) = withNoGrad {
      let copy =
        original.device.isCUDA ? original.cloned() : original.permuted(0, 2, 3, 1).contiguous().cloned().permuted(0, 3, 1, 2)
      return (copy, layer.bias?.value.detached().cloned())
    }
    stride = [layer.stride, layer.stride]
    padding = [layer.padding, layer.padding]
    dilation = [layer.dilation, layer.dilation]
    groups = layer.groups
  }

  func callAsFunction(_ input: Tensor) -> Tensor {
    input.conv2d(weight: weight, bias: bias, stride: stride, padding: padding, dilation: dilation, groups: groups)
  }
}
