internal import SwiftTorch

/// One parameter vector per sample, stored as changes of a linearized network's adjoints and inputs (`PerSampleLayer`).
///
/// It also stores the images V·a and Vᵀ·D, because scalar products need them.
struct KrylovVector {
  /// Ḋ and Ȧ per layer.
  var change: LinearizedNetwork.Change
  /// V·a and Vᵀ·D per layer.
  var tangents: [Tensor]
  var cotangents: [Tensor?]

  init(_ change: LinearizedNetwork.Change, _ layers: [any PerSampleLayer]) {
    self.change = change
    let images = layers.indices.map { layers[$0].images(change.adjoints[$0], change.inputs[$0]) }
    (tangents, cotangents) = (images.map(\.tangent), images.map(\.cotangent))
  }

  /// Returns ⟨V, V'⟩ for each sample, [N].
  ///
  /// V' = Ḋ⊗a + D⊗Ȧ is given as its changes; its product with V needs only V·a and Vᵀ·D.
  func dot(_ other: LinearizedNetwork.Change) -> Tensor {
    var sum: Tensor?
    func add(_ a: Tensor, _ b: Tensor) {
      let term = (a.contiguous() * b.contiguous()).flattened(from: 1).sum(dim: 1)
      sum = sum.map { $0 + term } ?? term
    }
    for i in tangents.indices {
      add(tangents[i], other.adjoints[i])
      if let cotangent = cotangents[i], let input = other.inputs[i] { add(cotangent, input) }
    }
    return sum!
  }

  /// Returns the vectors of the samples at the given positions.
  func selecting(_ positions: Tensor) -> KrylovVector {
    var result = self
    result.change = change.mapped { $0.selecting(positions) }
    result.tangents = tangents.map { $0.selecting(positions) }
    result.cotangents = cotangents.map { $0?.selecting(positions) }
    return result
  }
}

extension LinearizedNetwork.Change {
  func mapped(_ transform: (Tensor) -> Tensor) -> Self {
    Self(adjoints: adjoints.map(transform), inputs: inputs.map { $0.map(transform) })
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
      adjoints: adjoints.indices.map { i in combined(adjoints[i], terms.map { $0.0.adjoints[i] })! },
      inputs: inputs.indices.map { i in combined(inputs[i], terms.map { $0.0.inputs[i] }) })
  }
}
