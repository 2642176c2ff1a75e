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

  /// V·a for one V for the whole batch.
  func tangent(_ change: [Tensor]) -> Tensor {
    let bias = change.count > 1 ? change[1] : nil
    switch layer {
    case let layer as Conv2d:
      return input.conv2d(
        weight: change[0], bias: bias, stride: [layer.stride, layer.stride], padding: [layer.padding, layer.padding],
        dilation: [layer.dilation, layer.dilation], groups: layer.groups)
    case is Linear: return input.linear(weight: change[0], bias: bias)
    case let layer as BatchNorm2d: return layer.normalized(input) * channels(change[0]) + channels(change[1])
    default: fatalError("LayerCall: \(type(of: layer)) is not known")
    }
  }

  /// Vᵀ·D for one V for the whole batch; nil where nobody needs it.
  func cotangent(_ change: [Tensor]) -> Tensor? {
    guard hasDependentInput else { return nil }
    switch layer {
    case let layer as Conv2d:
      return adjoint.conv2dInputGradient(
        input: input, weight: change[0], stride: layer.stride, padding: layer.padding, dilation: layer.dilation,
        groups: layer.groups)
    case is Linear: return adjoint.matmul(change[0])
    case let layer as BatchNorm2d: return adjoint * channels(change[0] * layer.inverseDeviation)
    default: fatalError("LayerCall: \(type(of: layer)) is not known")
    }
  }

  /// Ḋ⊗a + D⊗Ȧ summed over the batch: what the parameters' gradient changes by.
  ///
  /// - Parameters:
  ///   - adjointChange: Ḋ; with D itself and no Ȧ this is the gradient.
  ///   - inputChange: Ȧ; nil for none.
  func parameterChange(_ adjointChange: Tensor, _ inputChange: Tensor?) -> [Tensor] {
    switch layer {
    case let layer as Conv2d:
      func gradients(_ output: Tensor, _ input: Tensor) -> (weight: Tensor, bias: Tensor) {
        output.conv2dParameterGradients(
          input: input, weight: layer.weight.value.detached(), stride: layer.stride, padding: layer.padding,
          dilation: layer.dilation, groups: layer.groups)
      }
      let first = gradients(adjointChange, input)
      let weight = inputChange.map { first.weight + gradients(adjoint, $0).weight } ?? first.weight
      return layer.bias == nil ? [weight] : [weight, first.bias]
    case let layer as Linear:
      func rows(_ tensor: Tensor) -> Tensor { tensor.reshaped(to: [-1, tensor.size(-1)]) }
      let first = rows(adjointChange).transposed(0, 1).matmul(rows(input))
      let weight = inputChange.map { first + rows(adjoint).transposed(0, 1).matmul(rows($0)) } ?? first
      return layer.bias == nil ? [weight] : [weight, rows(adjointChange).sum(dim: 0)]
    case let layer as BatchNorm2d:
      var scale = layer.normalized(input) * adjointChange
      if let inputChange { scale += inputChange * adjoint * channels(layer.inverseDeviation) }
      return [scale.sum(dims: [0, 2, 3]), adjointChange.sum(dims: [0, 2, 3])]
    default: fatalError("LayerCall: \(type(of: layer)) is not known")
    }
  }

  private func channels(_ values: Tensor) -> Tensor { values.reshaped(to: [1, -1, 1, 1]) }
}

extension BatchNorm2d {
  /// 1 / sqrt(running variance + epsilon), [channels].
  var inverseDeviation: Tensor { (runningVariance.value + epsilon).rsqrt() }

  /// The input less the running mean, over the running deviation: the output before weight and bias.
  func normalized(_ input: Tensor) -> Tensor {
    (input - runningMean.value.reshaped(to: [1, -1, 1, 1])) * inverseDeviation.reshaped(to: [1, -1, 1, 1])
  }
}
