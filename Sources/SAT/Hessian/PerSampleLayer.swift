internal import SwiftTorch

/// A `LayerCall` with a different change of the parameters for each sample.
///
/// A sample's Hessian maps every change of the parameters to the form Ḋ⊗a + D⊗Ȧ (`LayerCall`), so all vectors of its Krylov space
/// have it. The pair (Ḋ, Ȧ) has the size of activations instead of weights. Its images, the tangent and the cotangent, come from
/// scalar products between the windows that the layer reads.
protocol PerSampleLayer {
  /// Returns V·a and Vᵀ·D for each sample's V = Ḋ⊗a + D⊗Ȧ, in the shapes of output and input; nil for a fixed input.
  func images(_ adjointChange: Tensor, _ inputChange: Tensor?) -> (tangent: Tensor, cotangent: Tensor?)

  /// The tensors that the layer keeps for all vectors.
  var kept: [Tensor] { get }
}

extension [any PerSampleLayer] {
  /// Returns all layers' images for changes (Ḋ, Ȧ).
  func images(of change: LayerValues) -> LayerValues {
    let found = indices.map { self[$0].images(change.outputs[$0], change.inputs[$0]) }
    return LayerValues(outputs: found.map(\.tangent), inputs: found.map(\.cotangent))
  }
}

/// A convolution or a linear layer: y_p = W a_p + b for each position p, with a_p the window that the layer reads there.
struct WindowedLayer: PerSampleLayer {
  private let call: LayerCall
  /// The windows a, [N, window, positions].
  private let windows: Tensor
  /// The gradient D, [N, outputs, positions].
  private let adjoint: Tensor
  /// The products ⟨a_p, a_q⟩, plus 1 for a bias, [N, positions, positions]; nil if full weight changes are cheaper.
  private let windowProducts: Tensor?
  /// The products ⟨D_p, D_q⟩, [N, positions, positions].
  private let adjointProducts: Tensor?
  private let hasBias: Bool

  var kept: [Tensor] { [windows, adjoint] + [windowProducts, adjointProducts].compactMap { $0 } }

  init(_ call: LayerCall) {
    self.call = call
    hasBias = call.parameters.count > 1
    windows = Self.unfolded(call.input, call.layer)
    adjoint = Self.rows(call.adjoint, call.layer)
    let (window, positions, outputs) = (windows.size(1), windows.size(2), adjoint.size(1))
    let costs = Self.costs(call, window: window, positions: positions, outputs: outputs)
    guard costs.products <= costs.materialized else {
      windowProducts = nil
      adjointProducts = nil
      return
    }
    let products = windows.transposed(1, 2).matmul(windows)
    windowProducts = hasBias ? products + 1.0 : products
    adjointProducts = adjoint.transposed(1, 2).matmul(adjoint)
  }

  /// Returns the multiplications per sample and vector, with products and with full weight changes.
  private static func costs(_ call: LayerCall, window: Int, positions: Int, outputs: Int) -> (products: Int, materialized: Int) {
    let products = (call.hasDependentInput ? 3 * window * positions : 0) + 3 * outputs * positions
    return (positions * products, positions * (call.hasDependentInput ? 4 : 2) * outputs * window)
  }

  /// Returns the multiplications per sample and vector for a convolution.
  static func cost(_ call: LayerCall, _ layer: Conv2d) -> Int {
    let (window, positions) = (layer.weight.value.shape.dropFirst().reduce(1, *), call.adjoint.size(2) * call.adjoint.size(3))
    let costs = costs(call, window: window, positions: positions, outputs: call.adjoint.size(1))
    return min(costs.products, costs.materialized)
  }

  func images(_ adjointChange: Tensor, _ inputChange: Tensor?) -> (tangent: Tensor, cotangent: Tensor?) {
    let x = Self.rows(adjointChange, call.layer)
    let y = inputChange.map { Self.unfolded($0, call.layer) }
    guard let windowProducts, let adjointProducts else { return materialized(x, y) }
    var tangent = x.matmul(windowProducts)
    if let y { tangent = adjoint.matmul(y.transposed(1, 2).matmul(windows), addingTo: tangent) }
    guard call.hasDependentInput else { return (folded(tangent), nil) }
    var cotangent = windows.matmul(x.transposed(1, 2).matmul(adjoint))
    if let y { cotangent = y.matmul(adjointProducts, addingTo: cotangent) }
    return (folded(tangent), refolded(cotangent))
  }

  private func materialized(_ x: Tensor, _ y: Tensor?) -> (tangent: Tensor, cotangent: Tensor?) {
    var weight = x.matmul(windows.transposed(1, 2))
    if let y { weight = adjoint.matmul(y.transposed(1, 2), addingTo: weight) }
    var tangent = weight.matmul(windows)
    if hasBias { tangent += x.sum(dim: 2, keepDim: true) }
    return (folded(tangent), call.hasDependentInput ? refolded(weight.transposed(1, 2).matmul(adjoint)) : nil)
  }

  /// Returns the windows that a layer reads, [N, window, positions].
  private static func unfolded(_ input: Tensor, _ layer: any HookableLayer) -> Tensor {
    guard let layer = layer as? Conv2d else { return input.reshaped(to: [input.size(0), -1, input.size(-1)]).transposed(1, 2) }
    return input.contiguous().unfolded(
      kernel: layer.weight.value.size(2), stride: layer.stride, padding: layer.padding, dilation: layer.dilation)
  }

  /// Reshapes a tensor of the output's shape to [N, outputs, positions].
  private static func rows(_ output: Tensor, _ layer: any HookableLayer) -> Tensor {
    layer is Conv2d
      ? output.contiguous().flattened(from: 2) : output.reshaped(to: [output.size(0), -1, output.size(-1)]).transposed(1, 2)
  }

  private func folded(_ rows: Tensor) -> Tensor {
    (call.layer is Conv2d ? rows : rows.transposed(1, 2)).reshaped(to: call.adjoint.shape)
  }

  private func refolded(_ rows: Tensor) -> Tensor {
    guard let layer = call.layer as? Conv2d else { return rows.transposed(1, 2).reshaped(to: call.input.shape) }
    return rows.folded(
      height: call.input.size(2), width: call.input.size(3), kernel: layer.weight.value.size(2), stride: layer.stride,
      padding: layer.padding, dilation: layer.dilation)
  }
}

/// BatchNorm in evaluation mode: one factor and one summand per channel.
struct NormalizedLayer: PerSampleLayer {
  private let call: LayerCall
  private let normalized: Tensor
  /// [channels, 1, 1].
  private let inverseDeviation: Tensor

  var kept: [Tensor] { [normalized] }

  init(_ call: LayerCall, _ layer: BatchNorm2d) {
    self.call = call
    normalized = layer.normalized(call.input)
    inverseDeviation = layer.inverseDeviation.reshaped(to: [-1, 1, 1])
  }

  func images(_ adjointChange: Tensor, _ inputChange: Tensor?) -> (tangent: Tensor, cotangent: Tensor?) {
    var products = adjointChange * normalized
    if let inputChange { products += inputChange * call.adjoint * inverseDeviation }
    let weight = products.sum(dims: [2, 3], keepDim: true)
    let bias = adjointChange.sum(dims: [2, 3], keepDim: true)
    return (normalized * weight + bias, call.hasDependentInput ? call.adjoint * (weight * inverseDeviation) : nil)
  }
}
