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
  private static func parameters(of layer: any HookableLayer) -> [Parameter] {
    switch layer {
    case let layer as Conv2d: [layer.weight] + (layer.bias.map { [$0] } ?? [])
    case let layer as Linear: [layer.weight] + (layer.bias.map { [$0] } ?? [])
    case let layer as BatchNorm2d: [layer.weight, layer.bias]
    default: []
    }
  }

  /// Returns the layers of a network that hold its parameters; nil if an unknown kind of layer holds some.
  static func layers(of module: any Layer) -> [any HookableLayer]? {
    let layers = module.modules.compactMap { $0 as? any HookableLayer }.filter { !parameters(of: $0).isEmpty }
    let known = Set(layers.flatMap { parameters(of: $0).map(ObjectIdentifier.init) })
    return module.parameters.allSatisfy { known.contains(ObjectIdentifier($0)) } ? layers : nil
  }

  /// One pass of a layer: its input, and the zeros added to its output, through which autograd differentiates.
  typealias Record = (layer: any HookableLayer, input: Tensor, shift: Tensor)

  /// Runs a differentiable pass and records the given layers, in the order of their calls; their own hooks return afterwards.
  static func recorded(
    _ layers: [any HookableLayer], _ pass: () throws(TorchError) -> Tensor
  ) throws(TorchError) -> (calls: [Record], result: Tensor) {
    var calls: [Record] = []
    let hooks = layers.map(\.forwardHook)
    defer { for (layer, hook) in zip(layers, hooks) { layer.forwardHook = hook } }
    for layer in layers {
      layer.forwardHook = { input, output in
        let shift = Tensor.zeros(like: output.detached()).requireGrad()
        calls.append((layer, input, shift))
        return output + shift
      }
    }
    let result = try withGrad(pass)
    return (calls, result)
  }

  /// Returns the call for a range of the batch's samples.
  func samples(_ range: Range<Int>) -> LayerCall {
    LayerCall(layer: layer, input: input[range], adjoint: adjoint[range], hasDependentInput: hasDependentInput)
  }

  /// Returns the gradient of the parameters: D⊗a summed over the batch.
  private func gradient() -> [Tensor] {
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

  /// Returns the gradients of a network's parameters, summed over calls; zeros for a parameter without a call.
  static func gradients(of parameters: [Parameter], from calls: [LayerCall]) -> [Tensor] {
    var sums: [ObjectIdentifier: Tensor] = [:]
    for call in calls {
      for (parameter, gradient) in zip(call.parameters.map(ObjectIdentifier.init), call.gradient()) {
        sums[parameter] = sums[parameter].map { $0 + gradient } ?? gradient
      }
    }
    return parameters.map { sums[ObjectIdentifier($0)] ?? Tensor.zeros(like: $0.value.detached()) }
  }
}

extension [Tensor] {
  /// Returns true if each tensor differs from the expected one by at most 0.1 % of its norm.
  func agree(with expected: [Tensor]) -> Bool {
    withNoGrad { zip(self, expected).allSatisfy { ($0 - $1).norm().item() <= 1e-3 * $1.norm().item() } }
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
