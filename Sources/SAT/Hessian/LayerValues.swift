internal import SwiftTorch

/// One tensor per layer in the shape of its output, and one in the shape of its input; nil where the input is fixed.
///
/// Changes (Ḋ, Ȧ) of a linearized network have this form, and so have the images (V·a, Vᵀ·D) of parameter vectors V (`LayerCall`).
struct LayerValues {
  var outputs: [Tensor]
  var inputs: [Tensor?]

  /// Returns the values of the samples at the given positions.
  func selecting(_ positions: Tensor) -> LayerValues {
    LayerValues(outputs: outputs.map { $0.selecting(positions) }, inputs: inputs.map { $0?.selecting(positions) })
  }

  /// Returns the scalar product for each sample, [N]: ⟨V, Ḋ⊗a + D⊗Ȧ⟩ if these are the images of V, and the others are (Ḋ, Ȧ).
  func dot(_ other: LayerValues) -> Tensor {
    var sum: Tensor?
    func add(_ a: Tensor, _ b: Tensor) {
      let term = (a.contiguous() * b.contiguous()).flattened(from: 1).sum(dim: 1)
      sum = sum.map { $0 + term } ?? term
    }
    for i in outputs.indices {
      add(outputs[i], other.outputs[i])
      if let own = inputs[i], let input = other.inputs[i] { add(own, input) }
    }
    return sum!
  }

  /// Returns `self * own - first * a - second * b`, with one factor per sample, [N].
  func combined(_ own: Tensor, minus terms: [(Self, Tensor)]) -> Self {
    func combined(_ value: Tensor?, _ others: [Tensor?]) -> Tensor? {
      var sum = value.map { $0 * own.aligned(with: $0) }
      for case (let other?, let factors) in zip(others, terms.map(\.1)) {
        let term = other * factors.aligned(with: other)
        sum = sum.map { $0.addInPlace(term, alpha: -1) } ?? -term
      }
      return sum
    }
    return Self(
      outputs: outputs.indices.map { i in combined(outputs[i], terms.map { $0.0.outputs[i] })! },
      inputs: inputs.indices.map { i in combined(inputs[i], terms.map { $0.0.inputs[i] }) })
  }
}
