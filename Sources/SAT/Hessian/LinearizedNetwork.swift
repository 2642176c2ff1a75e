internal import SwiftTorch

/// A network linearized around a batch for second-order passes (Pearlmutter's R-operator, 1994).
///
/// It supports networks with all parameters in convolutions, linear layers and BatchNorm, and any operations between them. Each
/// such layer's output gets a shift of zeros. Autograd differentiates only with respect to the shifts, with the shared weights. The
/// layers' own arithmetic covers the parameters (`PerSampleLayer`), so one pass serves a different direction for each sample.
///
/// The loss of a sample is its cross-entropy divided by `scale`, the length of its gradient with respect to the logits. Otherwise
/// confident samples would underflow. Second derivatives are linear in this factor.
final class LinearizedNetwork {
  /// The layers that affect the logits, in the order of their calls.
  let calls: [LayerCall]
  /// The divisor of each sample's loss, [N, 1].
  let scale: Tensor

  private let logits: Tensor
  private let labels: Tensor
  /// The softmax of the logits, [N, C].
  let probabilities: Tensor
  private let shifts: [Tensor]
  /// The seeds of the first backward pass: the gradient with respect to the logits, and zeros for every layer's input.
  private let logitSeed: Tensor
  private let inputSeeds: [Tensor?]
  private let inputs: [Tensor]
  private let adjoints: [Tensor]
  /// True if an operation between the layers is curved; nil until the first `change`. If none is, a backward pass is skipped.
  private(set) var isCurved: Bool?

  /// Linearizes a network around a batch; nil if other kinds of layers have parameters. `isCurved` may come from other samples.
  init?(_ classifier: NetworkClassifier, _ images: Tensor, _ labels: Tensor, isCurved: Bool? = nil) throws(TorchError) {
    self.isCurved = isCurved
    guard let layers = LayerCall.layers(of: classifier.module) else { return nil }
    let (recorded, logits) = try LayerCall.recorded(layers) { () throws(TorchError) in try classifier.logits(images) }
    guard logits.requiresGrad else { return nil }
    self.logits = logits
    self.labels = labels
    let values = logits.detached()
    probabilities = values.softmax(dim: 1)
    let columns = labels.unsqueezed(dim: 1)
    // The label's entry is minus the sum of the others, because p - 1 loses precision when p is close to 1.
    let others = probabilities.scattering(0.0, dim: 1, at: columns)
    let residual = others - labels.oneHot(classes: values.size(1)).to(values.dtype) * others.sum(dim: 1, keepDim: true)
    // The bound is the smallest normal float32, so a sample with a gradient of 0 keeps it.
    scale = residual.norm(dims: [1], keepDim: true).clamped(to: 1.2e-38...)
    logitSeed = (residual / scale).requireGrad()

    let seeds = recorded.map { call in call.input.requiresGrad ? Tensor.zeros(like: call.input.detached()).requireGrad() : nil }
    let dependent = zip(recorded, seeds).compactMap { call, seed in seed.map { (call.input, $0) } }
    let (outputs, outputSeeds) = ([logits] + dependent.map(\.0), [logitSeed] + dependent.map(\.1))
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

  /// Returns the first-order changes (Ḋ, Ȧ) of all calls for a change V of the parameters, given by its images (V·a, Vᵀ·D).
  ///
  /// The first direction must be generic: a network that is straight along it counts as straight along all directions.
  func change(_ images: LayerValues) throws(TorchError) -> LayerValues {
    let forward = try forward(images.outputs)
    if isCurved == nil { isCurved = forward.bends.contains { $0.map { $0.abs().max().item() > 0 } ?? false } }
    // The backward pass starts from the change of the logits' gradient and from the changed weights' cotangents.
    let returned = zip(inputs, images.inputs).compactMap { input, cotangent in cotangent.map { (input, $0) } }
    let backward = try Tensor.checkedGradients(
      of: [logits] + returned.map(\.0), withRespectTo: shifts, seeds: [softmaxChange(forward.logits)] + returned.map(\.1),
      retainGraph: true)
    let adjointChanges = shifts.indices.map { i in
      let terms = [backward[i], forward.bends[i]].compactMap { $0 }
      return terms.dropFirst().reduce(terms.first ?? Tensor.zeros(like: calls[i].adjoint)) { $0 + $1 }
    }
    return LayerValues(outputs: adjointChanges, inputs: forward.inputs)
  }

  /// Returns the moves of logits and layer inputs when the layers' outputs move by `tangents`, and the bends of the adjoints.
  ///
  /// A bend is the change of an adjoint at fixed seeds; it is nil if the network is not curved. The adjoints are linear in their
  /// seeds, with the network's Jacobian as coefficients, so their derivatives with respect to the seeds are the moves.
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

  /// Returns (diag p − p pᵀ) r / scale for each sample and its change r of the logits, [N, C].
  func softmaxChange(_ change: Tensor) -> Tensor {
    // Subtracting the label's entry first avoids small differences of large terms when its probability is close to 1.
    let relative = change - change.gathered(dim: 1, at: labels.unsqueezed(dim: 1))
    let mean = (probabilities * relative).sum(dim: 1, keepDim: true)
    return probabilities * (relative - mean) / scale
  }

  /// Returns the gradient of every call's output for the logits' gradient `seed` [N, C]: rows of the Jacobian.
  func vectorJacobianProduct(_ seed: Tensor) throws(TorchError) -> [Tensor] {
    try Tensor.checkedGradients(of: [logits], withRespectTo: shifts, seeds: [seed], retainGraph: true).orZeros(like: shifts)
  }

  /// Returns true if the layers' gradients are the whole gradients of the parameters: no weight is used outside its layer.
  func accountsForAllGradients(of parameters: [Parameter]) throws(TorchError) -> Bool {
    let values = parameters.map(\.value)
    let found = try Tensor.checkedGradients(
      of: [logits], withRespectTo: values, seeds: [logitSeed.detached()], retainGraph: true)
    return LayerCall.gradients(of: parameters, from: calls).agree(with: found.orZeros(like: values))
  }
}
