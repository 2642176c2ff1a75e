internal import SwiftTorch

/// One vector of parameters per sample, held as changes of a linearized network's adjoints and inputs (`PerSampleLayer`), with its
/// images, from which scalar products come.
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

  /// ⟨V, V'⟩ per sample, [N], for V' given as changes: V' = Ḋ⊗a + D⊗Ȧ pairs with V through V·a and Vᵀ·D.
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

  /// Every sample's vector times a factor [N].
  func scaled(by factors: Tensor) -> KrylovVector {
    var result = self
    result.change = change.mapped { $0 * Self.perSample(factors, $0) }
    result.tangents = tangents.map { $0 * Self.perSample(factors, $0) }
    result.cotangents = cotangents.map { $0.map { $0 * Self.perSample(factors, $0) } }
    return result
  }

  /// The samples at the given positions.
  func selecting(_ positions: Tensor) -> KrylovVector {
    var result = self
    result.change = change.mapped { $0.selecting(positions) }
    result.tangents = tangents.map { $0.selecting(positions) }
    result.cotangents = cotangents.map { $0?.selecting(positions) }
    return result
  }

  static func perSample(_ values: Tensor, _ like: Tensor) -> Tensor {
    values.reshaped(to: [-1] + Array(repeating: 1, count: like.ndim - 1))
  }
}

extension LinearizedNetwork.Change {
  func mapped(_ transform: (Tensor) -> Tensor) -> Self {
    Self(adjoints: adjoints.map(transform), inputs: inputs.map { $0.map(transform) })
  }

  /// `self - factors * other`, the factors [N] per sample.
  func subtracting(_ other: Self, times factors: Tensor) -> Self {
    func less(_ a: Tensor, _ b: Tensor) -> Tensor { a - b * KrylovVector.perSample(factors, b) }
    return Self(
      adjoints: zip(adjoints, other.adjoints).map(less),
      inputs: zip(inputs, other.inputs).map { a, b in
        guard let b else { return a }
        return less(a ?? Tensor.zeros(like: b), b)
      })
  }
}
