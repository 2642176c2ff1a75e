/// A layer that can be prepared for many passes with unchanged weights, such as the steps of an attack.
public protocol Preparable: Layer {
  /// Returns the layer in evaluation mode, with its present weights, as a function of its input.
  ///
  /// The function takes batches [N, C, H, W] with any N, computes in `dtype` (nil: the weights' dtype), and is differentiable with
  /// respect to the input only. It does not see later changes of the weights. Its values and gradients equal the layer's up to
  /// rounding, which depends on the size of the batch, but on no other sample. Do not use it under `Torch.withAutocast`.
  func prepared(inputShape: [Int], dtype: DType?) -> (Tensor) -> Tensor
}

extension Preparable {
  /// Returns the prepared layer, which computes in the weights' dtype.
  public func prepared(inputShape: [Int]) -> (Tensor) -> Tensor { prepared(inputShape: inputShape, dtype: nil) }
}

extension Layer {
  /// Returns the prepared layer if the layer is `Preparable`, and the layer itself otherwise.
  public func preparedIfPossible(inputShape: [Int]) -> (Tensor) -> Tensor {
    (self as? any Preparable)?.prepared(inputShape: inputShape, dtype: nil) ?? { self($0) }
  }
}

extension Conv2d: Preparable {
  /// Returns the convolution with a copy of its weights, in the fastest form for inputs of shape [inputs, H, W] in `dtype`.
  ///
  /// On the CPU its results have channels-last order, and it is fastest for inputs in that order.
  public func prepared(inputShape: [Int], dtype: DType?) -> (Tensor) -> Tensor {
    require(
      inputShape.count == 3 && inputShape[0] == weight.value.size(1) * groups,
      "Conv2d.prepared: the input shape is \(inputShape); expected [\(weight.value.size(1) * groups), H, W]")
    let dtype = dtype ?? weight.value.dtype
    switch fastestPreparedKind(height: inputShape[1], width: inputShape[2], dtype: dtype) {
    case .rowUnfolded: return RowUnfoldedConvolution(self, dtype: dtype).callAsFunction
    case .bilinear(let algorithm):
      return BilinearConvolution(self, algorithm, height: inputShape[1], width: inputShape[2]).callAsFunction
    case .direct: return DirectConvolution(self, dtype: dtype).callAsFunction
    }
  }

  /// The ways in which a prepared layer can compute the convolution.
  enum PreparedKind {
    case direct
    case rowUnfolded
    case bilinear(BilinearAlgorithm)
  }

  /// Returns the fastest kind, by measurements on CPUs. On other devices the vendor's library chooses.
  ///
  /// The measurements cover the forward pass and the input gradient together, against the direct kind:
  /// - Row unfolding was 1.0 to 7 times as fast for a kernel of 5 or more and at most 3 channels. It was 1.7 times as fast for a
  ///   kernel of 3 and one channel, and slower with 16 channels.
  /// - The bilinear kind was 1.1 to 2.5 times as fast from 64 · 128 channels on with one tile of outputs. With several tiles it was
  ///   1.0 to 1.5 times as fast from 128 · 128 on. It lost accuracy or time for kernels of 3, and half precision is too coarse.
  func fastestPreparedKind(height: Int, width: Int, dtype: DType) -> PreparedKind {
    let shape = weight.value.shape
    let hasOneSmallChannel = shape[1] == 1 && shape[2] == 3 && stride == 1
    if prefersRowUnfolding(dtype) || hasOneSmallChannel && canUnfoldRows(dtype) { return .rowUnfolded }
    guard weight.value.device == .cpu, dtype == weight.value.dtype, ![.float16, .bfloat16].contains(dtype) else { return .direct }
    let algorithm = BilinearAlgorithm.fourOutputsOfFiveTaps
    let isOneTile = [height, width].allSatisfy { $0 + 2 * padding == algorithm.inputs }
    let isLarge = shape[0] * shape[1] >= (isOneTile ? 64 : 128) * 128
    return isLarge && BilinearConvolution.fits(self, algorithm, height: height, width: width) ? .bilinear(algorithm) : .direct
  }

  /// Returns true if row unfolding is the fastest kind for a forward pass with an input gradient.
  func prefersRowUnfolding(_ dtype: DType) -> Bool {
    let shape = weight.value.shape
    return shape[1] <= 3 && shape[2] >= 5 && canUnfoldRows(dtype)
  }

  private func canUnfoldRows(_ dtype: DType) -> Bool {
    weight.value.device == .cpu && dtype != .float16 && RowUnfoldedConvolution.fits(self)
  }
}

/// Computes the convolution itself with a copy of the weights, in channels-last order on the CPU.
struct DirectConvolution {
  private let weight: Tensor
  private let bias: Tensor?
  private let stride: [Int]
  private let padding: [Int]
  private let dilation: [Int]
  private let groups: Int

  init(_ layer: Conv2d, dtype: DType? = nil) {
    let original = layer.weight.value.detached().to(dtype ?? layer.weight.value.dtype)
    // `contiguous(.channelsLast)` would leave weights of one input channel as they are, so the code reorders them itself.
    (weight, bias) = withNoGrad {
      let copy =
        original.device.isCUDA ? original.cloned() : original.permuted(0, 2, 3, 1).contiguous().cloned().permuted(0, 3, 1, 2)
      return (copy, layer.bias?.value.detached().to(original.dtype).cloned())
    }
    stride = [layer.stride, layer.stride]
    padding = [layer.padding, layer.padding]
    dilation = [layer.dilation, layer.dilation]
    groups = layer.groups
  }

  func callAsFunction(_ input: Tensor) -> Tensor {
    // An image of one channel has both orders at once. libtorch would choose channels-first and give results in that order, which
    // slow down later layers. A view with channels-last strides makes the order clear.
    let shape = input.shape
    let isAmbiguous = shape[1] == 1 && input.device == .cpu
    let input = isAmbiguous ? input.reshaped(to: [shape[0], shape[2], shape[3], 1]).permuted(0, 3, 1, 2) : input
    return input.conv2d(weight: weight, bias: bias, stride: stride, padding: padding, dilation: dilation, groups: groups)
  }
}
