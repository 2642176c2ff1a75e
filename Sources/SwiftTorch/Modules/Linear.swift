/// An affine map y = x Wᵀ + b (`nn.Linear`).
public final class Linear: Module, HookableLayer {
  /// The weights, [outputs, inputs].
  public let weight: Parameter
  /// The bias, [outputs], or nil.
  public let bias: Parameter?
  public var forwardHook: ForwardHook?

  /// Makes a layer with PyTorch's default initialisation.
  ///
  /// - Parameter generator: the source of the random weights.
  public init(_ inputs: Int, _ outputs: Int, bias: Bool = true, generator: Generator) {
    let weightValue = Tensor.empty([outputs, inputs])
    let biasValue = bias ? Tensor.empty([outputs]) : nil
    Initialization.defaults(weight: weightValue, bias: biasValue, generator: generator)
    self.weight = Parameter(weightValue)
    self.bias = biasValue.map(Parameter.init)
  }

  /// Computes x Wᵀ + b.
  ///
  /// - Parameter input: [..., inputs].
  /// - Returns: [..., outputs].
  public func callAsFunction(_ input: Tensor) -> Tensor {
    let output = input.linear(weight: weight.value, bias: bias?.value)
    return forwardHook?(input, output) ?? output
  }
}
