/// y = x Wᵀ + b (`nn.Linear`).
public final class Linear: Module, Layer {
  /// [outputs, inputs].
  public let weight: Parameter
  /// [outputs].
  public let bias: Parameter?

  /// - Parameter generator: draws PyTorch's default initialisation.
  public init(_ inputs: Int, _ outputs: Int, bias: Bool = true, generator: Generator) {
    let weightValue = Tensor.empty([outputs, inputs])
    let biasValue = bias ? Tensor.empty([outputs]) : nil
    Initialization.defaults(weight: weightValue, bias: biasValue, generator: generator)
    self.weight = Parameter(weightValue)
    self.bias = biasValue.map(Parameter.init)
  }

  /// - Parameter input: [..., inputs].
  public func callAsFunction(_ input: Tensor) -> Tensor { input.linear(weight: weight.value, bias: bias?.value) }
}
