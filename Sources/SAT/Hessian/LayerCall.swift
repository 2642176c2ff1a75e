internal import SwiftTorch

/// One pass of a batch through a layer with parameters, and the gradient that came back to it.
///
/// With the layer's input a, its output y = W·a + b and the gradient D = ∂ℓ/∂y, a change V of the parameters, at a fixed input,
/// changes y by the tangent V·a and the gradient that leaves the layer by the cotangent Vᵀ·D; a change Ȧ of the input and Ḋ of D
/// changes the parameters' gradient by D⊗Ȧ + Ḋ⊗a.
struct LayerCall {
  let layer: any HookableLayer
  /// a, outside the graph.
  let input: Tensor
  /// D, outside the graph.
  let adjoint: Tensor
  /// Whether the input depends on other layers' parameters.
  let hasDependentInput: Bool

  /// The layer's parameters: weight, and bias where it has one.
  var parameters: [Parameter] { Self.parameters(of: layer) }

  /// - Returns: none for a layer of a kind that is not known here.
  static func parameters(of layer: any HookableLayer) -> [Parameter] {
    switch layer {
    case let layer as Conv2d: [layer.weight] + (layer.bias.map { [$0] } ?? [])
    case let layer as Linear: [layer.weight] + (layer.bias.map { [$0] } ?? [])
    case let layer as BatchNorm2d: [layer.weight, layer.bias]
    default: []
    }
  }

  /// The layers of a network that hold its parameters.
  ///
  /// - Returns: nil where layers of kinds that are not known here hold some.
  static func layers(of module: any Layer) -> [any HookableLayer]? {
    let layers = module.modules.compactMap { $0 as? any HookableLayer }.filter { !parameters(of: $0).isEmpty }
    let known = Set(layers.flatMap { parameters(of: $0).map(ObjectIdentifier.init) })
    return module.parameters.allSatisfy { known.contains(ObjectIdentifier($0)) } ? layers : nil
  }

  /// A pass of a layer: what it read, and zeros that were added to what it answered, by which the pass can be differentiated.
  typealias Record = (layer: any HookableLayer, input: Tensor, shift: Tensor)

  /// Runs a pass of a network and records it at some layers, in the order of their calls.
  static func recorded(
    _ layers: [any HookableLayer], _ body: () throws(TorchError) -> Tensor
  ) throws(TorchError) -> (calls: [Record], result: Tensor) {
    var calls: [Record] = []
    let result = try layers.withForwardHook({ layer, input, output in
      let shift = Tensor.zeros(like: output.detached()).requireGrad()
      calls.append((layer, input, shift))
      return output + shift
    }, during: body)
    return (calls, result)
  }

  /// The same of some samples of the batch.
  func samples(_ range: Range<Int>) -> LayerCall {
    LayerCall(layer: layer, input: input[range], adjoint: adjoint[range], hasDependentInput: hasDependentInput)
  }

  /// D⊗a summed over the batch: the gradient of the parameters.
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
  /// Runs `body` with a forward hook at these layers, which also hears the layer, and restores their hooks on every exit.
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
  /// Gradients with respect to `tensors`, with zeros where the result does not depend on one.
  func orZeros(like tensors: [Tensor]) -> [Tensor] { zip(self, tensors).map { $0 ?? Tensor.zeros(like: $1.detached()) } }
}

extension BatchNorm2d {
  /// 1 / sqrt(running variance + epsilon), [channels].
  var inverseDeviation: Tensor { (runningVariance.value + epsilon).rsqrt() }

  /// The input less the running mean, over the running deviation: the output before weight and bias.
  func normalized(_ input: Tensor) -> Tensor {
    (input - runningMean.value.reshaped(to: [1, -1, 1, 1])) * inverseDeviation.reshaped(to: [1, -1, 1, 1])
  }
}
