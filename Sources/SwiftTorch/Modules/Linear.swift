/// An affine map y = x Wᵀ + b (`nn.Linear`).
public final class Linear: Module, HookableLayer {
  /// The weights, [outputs, inputs].
  public let weight: Parameter
  /// The bias, [outputs], or nil.
  public let bias: Parameter?
  public var forwardHook: ForwardHook?

  /// Makes a layer with PyTorch's default initialisation, drawn from the generator.
  public init(_ inputs: Int, _ outputs: Int, bias: Bool = true, generator: Generator) {
    let weight = Tensor.empty([outputs, inputs])
    let bias = bias ? Tensor.empty([outputs]) : nil
    Initialization.defaults(weight: weight, bias: bias, generator: generator)
    self.weight = Parameter(weight)
    self.bias = bias.map(Parameter.init)
  }

  /// Maps [..., inputs] to [..., outputs].
  public func callAsFunction(_ input: Tensor) -> Tensor {
    let output = input.linear(weight: weight.value, bias: bias?.value)
    return forwardHook?(input, output) ?? output
  }
}

/// Computes y = x Wᵀ + b for many passes with unchanged weights.
///
/// Without gradients, oneDNN computes the product with the weights in its own order. libtorch's BLAS does not use AVX-512 on some
/// processors, and it reorders the weights in every call. On the measured processor it took 2.3 times as long with 3136 inputs and
/// 200 outputs, for 32 rows and for 200.
public struct PreparedLinear {
  private let weight: Tensor
  private let bias: Tensor?
  private let packedWeight: Tensor?

  /// Prepares a weight [outputs, inputs] and a bias [outputs]. The layer keeps the weight and does not copy it.
  public init(weight: Tensor, bias: Tensor?) {
    self.weight = weight
    self.bias = bias
    #if arch(x86_64)
      // The product of a smaller weight takes too little time to matter.
      let packs = weight.device == .cpu && weight.dtype == .float32 && weight.count >= 1 << 16
      packedWeight = packs ? withNoGrad { weight.packedForLinear() } : nil
    #else
      packedWeight = nil
    #endif
  }

  /// Maps [N, inputs] to [N, outputs].
  public func callAsFunction(_ input: Tensor) -> Tensor {
    guard let packedWeight, !(isGradEnabled && input.requiresGrad), input.size(0) > 0 else {
      return input.linear(weight: weight, bias: bias)
    }
    let shape = [input.size(0), weight.size(0)]
    return input.linear(
      packedWeight: packedWeight, addingTo: bias.map { $0.expanded(to: shape).contiguous() } ?? Tensor.zeros(shape))
  }
}
