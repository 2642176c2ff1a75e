/// A 2-D convolution with a square kernel (`nn.Conv2d`).
public final class Conv2d: Module, HookableLayer {
  /// The weights, [outputs, inputs / groups, kernel, kernel].
  public let weight: Parameter
  /// The bias, [outputs], or nil.
  public let bias: Parameter?
  public let stride: Int
  public let padding: Int
  public let dilation: Int
  public let groups: Int
  public var forwardHook: ForwardHook?

  /// Makes a layer with PyTorch's default initialisation, drawn from the generator.
  public convenience init(
    _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1, padding: Int = 0, dilation: Int = 1, groups: Int = 1,
    bias: Bool = true, generator: Generator
  ) {
    require(
      inputs % groups == 0 && outputs % groups == 0,
      "Conv2d: \(groups) groups do not divide \(inputs) inputs and \(outputs) outputs")
    let weight = Tensor.empty([outputs, inputs / groups, kernel, kernel])
    let bias = bias ? Tensor.empty([outputs]) : nil
    Initialization.defaults(weight: weight, bias: bias, generator: generator)
    self.init(weight: weight, bias: bias, stride: stride, padding: padding, dilation: dilation, groups: groups)
  }

  /// Makes a layer from weights [outputs, inputs / groups, kernel, kernel] and a bias [outputs].
  public init(weight: Tensor, bias: Tensor? = nil, stride: Int = 1, padding: Int = 0, dilation: Int = 1, groups: Int = 1) {
    let shape = weight.shape
    require(
      shape.count == 4 && shape[2] == shape[3], "Conv2d: the weight has shape \(shape); expected [outputs, inputs / groups, k, k]")
    self.weight = Parameter(weight)
    self.bias = bias.map(Parameter.init)
    self.stride = stride
    self.padding = padding
    self.dilation = dilation
    self.groups = groups
  }

  /// Convolves images [N, inputs, H, W] to [N, outputs, H', W'].
  public func callAsFunction(_ input: Tensor) -> Tensor {
    let output =
      input.requiresGrad && prefersRowUnfolding(input.dtype) ? RowUnfoldedConvolution(differentiating: self)(input) : direct(input)
    return forwardHook?(input, output) ?? output
  }

  private func direct(_ input: Tensor) -> Tensor {
    input.conv2d(
      weight: weight.value, bias: bias?.value, stride: [stride, stride], padding: [padding, padding],
      dilation: [dilation, dilation], groups: groups)
  }
}
