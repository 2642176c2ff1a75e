internal import SwiftTorch

/// One pass of a batch through a layer with parameters, with the gradient of the layer's output.
///
/// The layer has input a, output y = W·a + b and gradient D = ∂ℓ/∂y. A change V of the parameters at fixed input changes y by the
/// tangent V·a. It changes the gradient with respect to a by the cotangent Vᵀ·D. Changes Ȧ of the input and Ḋ of D change the
/// parameters' gradient by D⊗Ȧ + Ḋ⊗a.
struct LayerCall {
  let layer: any HookableLayer
  /// The input a, outside the graph.
  let input: Tensor
  /// The gradient D, outside the graph.
  let adjoint: Tensor
  /// True if the input depends on other layers' parameters.
  let hasDependentInput: Bool

  /// The layer's parameters: weight, and bias if there is one.
  var parameters: [Parameter] { Self.parameters(of: layer) }

  /// Returns a layer's parameters; none for an unknown kind of layer.
  static func parameters(of layer: any HookableLayer) -> [Parameter] {
    switch layer {
    case let layer as Conv2d: [layer.weight] + (layer.bias.map { [$0] } ?? [])
    case let layer as Linear: [layer.weight] + (layer.bias.map { [$0] } ?? [])
    case let layer as BatchNorm2d: [layer.weight, layer.bias]
    default: []
    }
  }

  /// Returns the layers of a network that hold its parameters.
  ///
  /// - Returns: nil if an unknown kind of layer holds parameters.
  static func layers(of module: any Layer) -> [any HookableLayer]? {
    let layers = module.modules.compactMap { $0 as? any HookableLayer }.filter { !parameters(of: $0).isEmpty }
    let known = Set(layers.flatMap { parameters(of: $0).map(ObjectIdentifier.init) })
    return module.parameters.allSatisfy { known.contains(ObjectIdentifier($0)) } ? layers : nil
  }

  /// One pass of a layer: its input, and the zeros added to its output, through which autograd differentiates.
  typealias Record = (layer: any HookableLayer, input: Tensor, shift: Tensor)

  /// Runs a pass of a network and records the given layers, in the order of their calls.
  static func recorded(
    _ layers: [any HookableLayer], _ body: () throws(TorchError) -> Tensor
  ) throws(TorchError) -> (calls: [Record], result: Tensor) {
    var calls: [Record] = []
    let result = try layers.withForwardHook(
      { layer, input, output in
        let shift = Tensor.zeros(like: output.detached()).requireGrad()
        calls.append((layer, input, shift))
        return output + shift
      }, during: body)
    return (calls, result)
  }

  /// Returns the call for a range of the batch's samples.
  func samples(_ range: Range<Int>) -> LayerCall {
    LayerCall(layer: layer, input: input[range], adjoint: adjoint[range], hasDependentInput: hasDependentInput)
  }

  /// Returns the gradient of the parameters: D⊗a summed over the batch.
  func gradient() -> [Tensor] {
    switch layer {
    case let layer as Conv2d:
      let (weight, bias) = adjoint.conv2dParameterGradients(
        input: input, weight: layer.weight.value.detached(), stride: layer.stride, padding: layer.padding,
        dilation: layer.dilation, groups: layer.groups)
      return layer.bias == nil ? [weight] : [weight, bias]
    case let layer as Linear:
      let (rows, columns) = (adjoint.reshaped(to: [-1, adjoint.size(-1)]), input.reshaped(to: [-1, input.size(-1)]))
      let weight = rows.transposed(0, 1).matmul(columns)
      return layer.bias == nil ? [weight] : [weight, rows.sum(dim: 0)]
    case let layer as BatchNorm2d:
      return [(layer.normalized(input) * adjoint).sum(dims: [0, 2, 3]), adjoint.sum(dims: [0, 2, 3])]
    default: fatalError("LayerCall: \(type(of: layer)) is not known")
    }
  }
}

extension [any HookableLayer] {
  /// Runs `body` with a forward hook on these layers, and restores their own hooks on every exit.
  func withForwardHook<R, E: Error>(
    _ hook: @escaping (_ layer: any HookableLayer, _ input: Tensor, _ output: Tensor) -> Tensor, during body: () throws(E) -> R
  ) throws(E) -> R {
    let before = map(\.forwardHook)
    for layer in self { layer.forwardHook = { hook(layer, $0, $1) } }
    defer { for (layer, own) in zip(self, before) { layer.forwardHook = own } }
    return try body()
  }
}

extension [Tensor?] {
  /// Returns the gradients, with zeros in the shape of `tensors` for those that are nil.
  func orZeros(like tensors: [Tensor]) -> [Tensor] { zip(self, tensors).map { $0 ?? Tensor.zeros(like: $1.detached()) } }
}

extension BatchNorm2d {
  /// 1 / sqrt(running variance + epsilon), [channels].
  var inverseDeviation: Tensor { (runningVariance.value + epsilon).rsqrt() }

  /// Returns the input minus the running mean, divided by the running deviation: the output before weight and bias.
  func normalized(_ input: Tensor) -> Tensor {
    (input - runningMean.value.reshaped(to: [1, -1, 1, 1])) * inverseDeviation.reshaped(to: [1, -1, 1, 1])
  }
}
