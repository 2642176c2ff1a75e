internal import SwiftTorch

/// A network around a batch, ready for second-order passes: Pearlmutter's R-operator (1994) for any network whose parameters are
/// all in convolutions, linear layers and BatchNorm, whatever lies between them.
///
/// Every such layer's output gets a shift of zeros added, on which logits and layer inputs then depend. Autograd differentiates with
/// respect to these shifts only, with the shared weights; what depends on parameters is the layers' own arithmetic (`PerSampleLayer`).
/// So one pass for the whole batch serves a direction of its own for every sample.
///
/// The loss of a sample is its cross-entropy over the length of its gradient with respect to its logits, `scale`, so that confident
/// samples do not underflow; second derivatives are linear in that factor.
final class LinearizedNetwork {
  /// Layers that the logits depend on, in the order of their calls.
  let calls: [LayerCall]
  /// [N, 1]: what each sample's loss was divided by.
  let scale: Tensor

  private let logits: Tensor
  private let labels: Tensor
  /// [N, C], softmax.
  let probabilities: Tensor
  private let shifts: [Tensor]
  /// Seeds of the first backward pass: the gradient with respect to the logits, and zeros for every layer's input. The adjoints are
  /// linear in them, so their derivatives are the network's own tangents.
  private let logitSeed: Tensor
  private let inputSeeds: [Tensor?]
  private let inputs: [Tensor]
  private let adjoints: [Tensor]
  /// Whether anything between the layers bends; nil until the first `change` shows it. Where all is piecewise linear, as with ReLU and
  /// pooling, autograd would send zeros back through the whole network at every pass.
  private(set) var isCurved: Bool?

  /// - Parameter isCurved: where it is known of this network from other samples.
  /// - Returns: nil for a network that has parameters in other layers.
  init?(_ classifier: NetworkClassifier, _ images: Tensor, _ labels: Tensor, isCurved: Bool? = nil) throws(TorchError) {
    self.isCurved = isCurved
    guard let layers = LayerCall.layers(of: classifier.module) else { return nil }
    let (recorded, logits) = try LayerCall.recorded(layers) { () throws(TorchError) in
      try withGrad { () throws(TorchError) in try classifier.logits(images) }
    }
    guard logits.requiresGrad else { return nil }
    self.logits = logits
    self.labels = labels
    let values = logits.detached()
    probabilities = values.softmax(dim: 1)
    let columns = labels.unsqueezed(dim: 1)
    // The label's entry as minus the sum of the others: 1 - p would lose what is left of it once p is close to 1.
    let others = probabilities.scattering(0.0, dim: 1, at: columns)
    let residual = others - labels.oneHot(classes: values.size(1)).to(values.dtype) * others.sum(dim: 1, keepDim: true)
    // The smallest normal float32, so that a sample whose gradient is 0 altogether stays at 0.
    scale = residual.norm(dims: [1], keepDim: true).clamped(to: 1.2e-38...)
    logitSeed = (residual / scale).requireGrad()

    let seeds = recorded.map { call in call.input.requiresGrad ? Tensor.zeros(like: call.input.detached()).requireGrad() : nil }
    let dependent = zip(recorded, seeds).compactMap { call, seed in seed.map { (call.input, $0) } }
    let outputs = [logits] + dependent.map(\.0)
    let outputSeeds = [logitSeed] + dependent.map(\.1)
    let found = try withGrad { () throws(TorchError) in
      try Tensor.checkedGradients(of: outputs, withRespectTo: recorded.map(\.shift), seeds: outputSeeds, createGraph: true)
    }
    let live = found.indices.filter { found[$0] != nil }
    adjoints = live.map { found[$0]! }
    shifts = live.map { recorded[$0].shift }
    inputs = live.map { recorded[$0].input }
    inputSeeds = live.map { seeds[$0] }
    calls = live.map { index in
      LayerCall(
        layer: recorded[index].layer, input: recorded[index].input.detached(), adjoint: found[index]!.detached(),
        hasDependentInput: seeds[index] != nil)
    }
  }

  /// What a change of the parameters does to the inputs and the gradients of all layers, to first order.
  struct Change {
    /// Ḋ per call.
    var adjoints: [Tensor]
    /// Ȧ per call; nil where the input is fixed.
    var inputs: [Tensor?]
  }

  /// The first direction has to be a generic one: what is straight along it counts as straight along all.
  /// - Parameters:
  ///   - tangents: V·a of every call, for the change V of its parameters.
  ///   - cotangents: Vᵀ·D of every call; nil where the input is fixed.
  func change(_ tangents: [Tensor], _ cotangents: [Tensor?]) throws(TorchError) -> Change {
    let forward = try forward(tangents)
    if isCurved == nil { isCurved = forward.bends.contains { $0.map { $0.abs().max().item() > 0 } ?? false } }
    // Backward: the change of the logits' gradient, and what the changed weights send back.
    let returned = zip(inputs, cotangents).compactMap { input, cotangent in cotangent.map { (input, $0) } }
    let backward = try Tensor.checkedGradients(
      of: [logits] + returned.map(\.0), withRespectTo: shifts, seeds: [softmaxChange(forward.logits)] + returned.map(\.1),
      retainGraph: true)
    let adjointChanges = shifts.indices.map { i in
      let terms = [backward[i], forward.bends[i]].compactMap { $0 }
      return terms.dropFirst().reduce(terms.first ?? Tensor.zeros(like: calls[i].adjoint)) { $0 + $1 }
    }
    return Change(adjoints: adjointChanges, inputs: forward.inputs)
  }

  /// How logits and layer inputs move when the layers' outputs move by `tangents` of their own; and how the adjoints bend, at fixed
  /// seeds, or nils where they cannot.
  ///
  /// The adjoints are linear in their seeds with the network's Jacobian as coefficients, so their derivatives with respect to the
  /// seeds along `tangents` are the moves.
  private func forward(_ tangents: [Tensor]) throws(TorchError) -> (logits: Tensor, inputs: [Tensor?], bends: [Tensor?]) {
    let seeds = inputSeeds.compactMap { $0 }
    let mayBend = isCurved ?? true
    let found = try Tensor.checkedGradients(
      of: adjoints, withRespectTo: [logitSeed] + seeds + (mayBend ? shifts : []), seeds: tangents, retainGraph: true)
    var moves = found[1..<1 + seeds.count].makeIterator()
    let inputs = inputSeeds.map { $0 == nil ? nil : moves.next()! }
    let bends = mayBend ? Array(found[(1 + seeds.count)...]) : Array(repeating: nil, count: shifts.count)
    return (found[0] ?? Tensor.zeros(like: logitSeed.detached()), inputs, bends)
  }

  /// (diag p − p pᵀ) r / scale per sample, [N, C].
  func softmaxChange(_ change: Tensor) -> Tensor {
    // Relative to the label's entry, whose probability may be close to 1, so that no small difference of large terms is taken.
    let relative = change - change.gathered(dim: 1, at: labels.unsqueezed(dim: 1))
    let mean = (probabilities * relative).sum(dim: 1, keepDim: true)
    return probabilities * (relative - mean) / scale
  }

  /// The gradient of every call's output when the logits' gradient is `seed` [N, C]: the rows of a Jacobian.
  func pulledBack(_ seed: Tensor) throws(TorchError) -> [Tensor] {
    let found = try Tensor.checkedGradients(of: [logits], withRespectTo: shifts, seeds: [seed], retainGraph: true)
    return found.orZeros(like: shifts)
  }

  /// Whether the layers' own gradients are the parameters' whole gradients: a network may use a weight in other ways than by calling
  /// its layer.
  func accountsForAllGradients(of parameters: [Parameter]) throws(TorchError) -> Bool {
    var own = Dictionary(uniqueKeysWithValues: parameters.map { (ObjectIdentifier($0), Tensor.zeros(like: $0.value.detached())) })
    for call in calls {
      for (parameter, gradient) in zip(call.parameters, call.gradient()) {
        own[ObjectIdentifier(parameter)] = own[ObjectIdentifier(parameter)]! + gradient
      }
    }
    let found = try Tensor.checkedGradients(
      of: [logits], withRespectTo: parameters.map(\.value), seeds: [logitSeed.detached()], retainGraph: true)
    for (parameter, gradient) in zip(parameters, found) {
      let value = own[ObjectIdentifier(parameter)]!
      let difference = gradient.map { (value - $0).norm().item() } ?? value.norm().item()
      guard difference <= 1e-3 * value.norm().item() else { return false }
    }
    return true
  }
}
