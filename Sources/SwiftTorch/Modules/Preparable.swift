/// A layer that can be prepared for many passes over unchanged weights, as the steps of an attack are.
public protocol Preparable: Layer {
  /// The layer as it is now, in evaluation mode, as a function of its input.
  ///
  /// It is differentiable with respect to the input only and does not see later changes of the weights. Values and gradients
  /// equal the layer's up to rounding; each sample's also depend on the size of its batch by rounding, but on no other sample.
  /// Not for use under `Torch.withAutocast`.
  /// - Parameters:
  ///   - inputShape: [C, H, W] of one input; the batches that follow are [N, C, H, W] with any N.
  ///   - dtype: what it computes in and answers in, nil for the weights' own; bfloat16 is the faster one where the processor has it,
  ///     with three significant digits.
  func prepared(inputShape: [Int], dtype: DType?) -> (Tensor) -> Tensor
}

extension Preparable {
  /// As above, computing in the weights' own dtype.
  public func prepared(inputShape: [Int]) -> (Tensor) -> Tensor { prepared(inputShape: inputShape, dtype: nil) }
}

extension Layer {
  /// The prepared layer where it is `Preparable`, else the layer itself.
  public func preparedIfPossible(inputShape: [Int]) -> (Tensor) -> Tensor {
    (self as? any Preparable)?.prepared(inputShape: inputShape, dtype: nil) ?? { self($0) }
  }
}

extension Conv2d: Preparable {
  /// - Parameters:
  ///   - inputShape: [inputs, H, W].
  ///   - dtype: of the inputs and the results; nil for the weights'.
  /// - Returns: a function of [N, inputs, H, W]. Its results lie in channels-last order on the CPU, and it is fastest on inputs that
  ///   do.
  public func prepared(inputShape: [Int], dtype: DType?) -> (Tensor) -> Tensor {
    require(
      inputShape.count == 3 && inputShape[0] == weight.value.size(1) * groups,
      "Conv2d.prepared: inputs of shape \(inputShape); expected [\(weight.value.size(1) * groups), H, W]")
    let dtype = dtype ?? weight.value.dtype
    switch fastestPreparedKind(height: inputShape[1], width: inputShape[2], dtype: dtype) {
    case .rowUnfolded: return RowUnfoldedConvolution(self, dtype: dtype).callAsFunction
    case .bilinear(let algorithm):
      return BilinearConvolution(self, algorithm, height: inputShape[1], width: inputShape[2]).callAsFunction
    case .direct: return DirectConvolution(self, dtype: dtype).callAsFunction
    }
  }

  /// The convolutions that a layer can be prepared as.
  enum PreparedKind {
    case direct
    case rowUnfolded
    case bilinear(BilinearAlgorithm)
  }

  /// The kind to prefer, by measurement on CPUs; elsewhere the vendor's own choice is left alone. The intermediate values of the
  /// bilinear kind exceed the half precisions.
  ///
  /// Forward and input gradient together, row unfolding was 1.0 to 7 times as fast for a kernel of 5 or more and at most 3
  /// channels, and slower with 16; for a kernel of 3 and one channel 1.7 times. The bilinear kind was 1.1 to 2.5 times as fast from 64 · 128 channels on with one tile of
  /// outputs, and 1.0 to 1.5 times from 128 · 128 with several; for kernels of 3 it lost accuracy or time.
  func fastestPreparedKind(height: Int, width: Int, dtype: DType) -> PreparedKind {
    let shape = weight.value.shape
    if isFastestRowUnfolded(dtype) { return .rowUnfolded }
    if shape[1] == 1, shape[2] == 3, stride == 1, dtype != .float16, weight.value.device == .cpu, RowUnfoldedConvolution.fits(self) {
      return .rowUnfolded
    }
    guard weight.value.device == .cpu, dtype != .float16 else { return .direct }
    guard dtype == weight.value.dtype, dtype != .bfloat16 else { return .direct }
    let algorithm = BilinearAlgorithm.fourOutputsOfFiveTaps
    let isOneTile = [height, width].allSatisfy { $0 + 2 * padding == algorithm.inputs }
    if shape[0] * shape[1] >= (isOneTile ? 64 : 128) * 128,
      BilinearConvolution.fits(self, algorithm, height: height, width: width)
    {
      return .bilinear(algorithm)
    }
    return .direct
  }

  /// Whether row unfolding is the fastest kind where the gradient of the input is wanted.
  func isFastestRowUnfolded(_ dtype: DType) -> Bool {
    let shape = weight.value.shape
    return shape[1] <= 3 && shape[2] >= 5 && weight.value.device == .cpu && dtype != .float16 && RowUnfoldedConvolution.fits(self)
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

  init(_ layer: Conv2d, dtype: DType? = nil) {
    let original = layer.weight.value.detached().to(dtype ?? layer.weight.value.dtype)
    // The order is made by hand, because `contiguous(.channelsLast)` takes weights of one input channel for channels-last already.
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
    // Images of one channel lie in both orders at once, and libtorch takes them for channels-first, with results in that order, which
    // later layers are slower on; a view with the other strides says which is meant.
    let shape = input.shape
    let isAmbiguous = shape[1] == 1 && input.device == .cpu
    let input = isAmbiguous ? input.reshaped(to: [shape[0], shape[2], shape[3], 1]).permuted(0, 3, 1, 2) : input
    return input.conv2d(weight: weight, bias: bias, stride: stride, padding: padding, dilation: dilation, groups: groups)
  }
}
