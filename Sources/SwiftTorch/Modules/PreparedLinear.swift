/// y = x Wᵀ + b with a copy of the weights, for many passes.
///
/// Where no gradient is wanted the product is oneDNN's, with the weights in its own order: libtorch's BLAS does without AVX-512 on some
/// processors and puts the weights in order in every call. On the one measured it took 2.3 times as long with 3136 inputs and 200
/// outputs, whether for 32 rows or 200.
public struct PreparedLinear {
  private let weight: Tensor
  private let bias: Tensor?
  private let packedWeight: Tensor?

  /// - Parameters:
  ///   - weight: [outputs, inputs]; not copied.
  ///   - bias: [outputs].
  public init(weight: Tensor, bias: Tensor?) {
    self.weight = weight
    self.bias = bias
    packedWeight = Self.packs(weight) ? withNoGrad { weight.packedForLinear() } : nil
  }

  private static func packs(_ weight: Tensor) -> Bool {
    #if arch(x86_64)
      // Below this the product is not what takes the time.
      return weight.device == .cpu && weight.dtype == .float32 && weight.count >= 1 << 16
    #else
      return false
    #endif
  }

  /// - Parameter input: [N, inputs].
  public func callAsFunction(_ input: Tensor) -> Tensor {
    guard let packedWeight, !(isGradEnabled && input.requiresGrad), input.size(0) > 0 else {
      return input.linear(weight: weight, bias: bias)
    }
    let shape = [input.size(0), weight.size(0)]
    return input.linear(
      packedWeight: packedWeight, addingTo: bias.map { $0.expanded(to: shape).contiguous() } ?? Tensor.zeros(shape))
  }
}
