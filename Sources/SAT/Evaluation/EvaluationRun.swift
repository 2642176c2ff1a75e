internal import SwiftTorch

/// A running evaluation: the clean pass, `SanityChecks`, then the attacks one after the other.
///
/// A store saves the state between groups of samples and after each attack, but not before the first attack.
struct EvaluationRun {
  let evaluator: Evaluator
  let plan: EvaluationPlan
  /// The seed of libtorch's own generators, which TorchScript archives draw from; nil leaves the generators alone.
  let seed: UInt64?
  let labels: [Int]
  let adversarial: AdversarialImages?
  let store: EvaluationStore?
  let progress: (EvaluationProgress) -> Void
  let shouldStop: () -> Bool

  func result() throws -> Evaluation {
    if let (positions, images) = store?.saved?.adversarial { adversarial?.put(images, at: positions) }
    var state = try store?.saved?.state ?? stateBeforeAttacks()
    let attacks = try usableAttacks(state)
    while state.outcomes.count < attacks.count { try run(attacks[state.outcomes.count], &state) }
    let squareBetter = SanityChecks.squareBetter(
      state.outcomes, withoutGradients: Set(attacks.filter { !type(of: $0).needsGradients }.map(\.name)),
      isIndividual: plan.isIndividual)
    return Evaluation(
      labels: labels, predictions: state.predictions, attacks: state.outcomes, records: state.records,
      warnings: state.warnings + [squareBetter].compactMap { $0 }, seconds: state.secondsUntilNow)
  }

  /// Classifies the clean images, by the mean logits of many passes if `votes` is true.
  private func cleanPass(votes: Bool) throws -> CleanPass {
    let (data, size) = (evaluator.data, evaluator.batchSize)
    let averaged = votes ? AveragedClassifier(evaluator.model) : nil
    var pass = CleanPass()
    for range in (0..<data.count).chunks(of: size) {
      if shouldStop() { throw JobStopped() }
      let (images, expected) = try data.batch(range)
      let means = try averaged?.vote(moved(images), expected.to(evaluator.device)).logits
      pass.take(images, try means ?? evaluator.model.answers(moved(images)))
      let done = pass.predictions.count
      progress(
        EvaluationProgress(
          phase: "clean", done: done, total: data.count, fraction: Double(done) / Double(data.count),
          correct: zip(pass.predictions, labels).count { $0 == $1 }))
    }
    return pass
  }

  /// Returns the state before the first attack, with the warnings of the clean pass and the checks.
  private func stateBeforeAttacks() throws -> EvaluationState {
    let begun = ContinuousClock.now
    try seedGenerators("clean")
    var pass = try cleanPass(votes: plan.expectsRandomness && plan.mode == .fast)
    let findings = plan.checks ? try check(pass.predictions) : SanityChecks.Findings()
    if findings.isRandom && !plan.expectsRandomness && plan.mode == .fast { pass = try cleanPass(votes: true) }
    var state = pass.state
    state.begun = begun
    state.isDifferentiable = findings.isDifferentiable
    state.isRandom = plan.expectsRandomness || findings.isRandom
    // Non-finite outputs have non-finite gradients, so one warning is enough.
    let known = Set(state.warnings.map(\.code))
    state.warnings += findings.warnings.filter { !known.contains($0.code) }
    if plan.checks, let warning = pass.inputRange(labels, evaluator.data.name) { state.warnings.append(warning) }
    return state
  }

  /// Runs the checks on the first correct samples, or on the first samples if none is correct.
  private func check(_ predictions: [Int]) throws -> SanityChecks.Findings {
    let correct = labels.indices.filter { predictions[$0] == labels[$0] }
    let chosen = Tensor(Array((correct.isEmpty ? Array(labels.indices) : correct).prefix(SanityChecks.samples)))
    let (images, some) = try evaluator.data.batch(at: chosen)
    return try SanityChecks(model: evaluator.model, images: moved(images), labels: some.to(evaluator.device)).run(
      .init(
        needsGradient: plan.attacks.contains { type(of: $0).needsGradients }, expectsRandomness: plan.expectsRandomness,
        mode: plan.mode))
  }

  /// Returns the plan's attacks that can run on the model.
  private func usableAttacks(_ state: EvaluationState) throws(SATError) -> [any Attack] {
    let usable = state.isDifferentiable ? plan.attacks : plan.attacks.filter { !type(of: $0).needsGradients }
    guard usable.isEmpty, !plan.attacks.isEmpty else { return usable }
    let names = plan.attacks.map(\.name).joined(separator: ", ")
    let others = AttackRegistry.entries.filter { !$0.needsGradients }.map(\.name)
    throw SATError(
      "the model's output cannot be differentiated with respect to the image, but \(names) needs gradients; "
        + "use --attack \(others.joined(separator: " or ")), which needs only logits")
  }

  /// Returns, for each sample, whether the clean image is classified correctly.
  func clean(_ state: EvaluationState) -> [Bool] { zip(labels, state.predictions).map { $0 == $1 } }

  /// Saves the state if `now` is true or the last write was long enough ago.
  func keep(_ state: inout EvaluationState, now: Bool) throws(TorchError) {
    guard let store, now || store.isDue else { return }
    state.seconds = state.secondsUntilNow
    state.begun = .now
    try store.save(state, adversarial)
  }

  /// Seeds libtorch's generators again, before the clean pass and before an attack's group of samples that begins with `sample`.
  ///
  /// Neither earlier work nor a kill then changes a result. `compat` uses the seed itself, as the reference before every batch.
  func seedGenerators(_ phase: String, sample: Int = 0) throws(TorchError) {
    guard let seed else { return }
    try Torch.manualSeed(plan.mode == .compat ? seed : CounterRandom(seed: seed, sample: sample, attack: phase).seed(0))
  }

  /// Moves images to the model's device, in its memory format.
  func moved(_ images: Tensor) -> Tensor { images.to(evaluator.device).contiguous(evaluator.layout) }
}
