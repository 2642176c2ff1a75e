internal import SwiftTorch

/// A running evaluation, as a sequence of phases: clean, checks, one phase for each attack, finished.
///
/// The state begins with the phase of the first attack. A store saves it between groups and after each attack. An evaluation that
/// continues from a saved state therefore begins in the phase of an attack.
final class EvaluationRun {
  private enum Phase {
    /// The model classifies the clean images.
    case clean
    /// `SanityChecks` tests the model.
    case checks(CleanPass)
    /// The next attack runs. The number of finished attacks in the state is its index.
    case attack(EvaluationState)
    case finished(EvaluationState)
  }

  let evaluator: Evaluator
  let plan: EvaluationPlan
  let adversarial: AdversarialImages?
  let store: EvaluationStore?
  let progress: (EvaluationProgress) -> Void
  let shouldStop: () -> Bool
  private let labels: [Int]
  private let clock = ContinuousClock()
  /// The start of the time that the state does not include yet.
  private var begun: ContinuousClock.Instant

  init(
    _ evaluator: Evaluator, _ plan: EvaluationPlan, adversarial: AdversarialImages?, store: EvaluationStore?,
    progress: @escaping (EvaluationProgress) -> Void, shouldStop: @escaping () -> Bool
  ) {
    self.evaluator = evaluator
    self.plan = plan
    self.adversarial = adversarial
    self.store = store
    self.progress = progress
    self.shouldStop = shouldStop
    labels = evaluator.data.labels.array(of: Int.self)
    begun = clock.now
  }

  func result() throws -> Evaluation {
    var phase = firstPhase()
    while true {
      switch phase {
      case .clean:
        try plan.seedGenerators("clean")
        phase = .checks(try cleanPass(votes: plan.expectsRandomness && plan.mode == .fast))
      case .checks(let pass): phase = .attack(try state(after: pass))
      case .attack(let state):
        let attacks = try usableAttacks(state)
        let number = state.outcomes.count
        phase = number < attacks.count ? .attack(try run(attacks[number], state)) : .finished(state)
      case .finished(let state): return evaluation(state)
      }
    }
  }

  /// Returns the phase of the saved state, or the clean phase if no state was saved.
  private func firstPhase() -> Phase {
    guard let saved = store?.saved else { return .clean }
    if let adversarial { for (positions, images) in saved.adversarial { adversarial.put(images, at: positions) } }
    return .attack(saved.state)
  }

  // MARK: Clean

  /// Classifies the clean images.
  ///
  /// - Parameter votes: True to use the mean logits of many passes, for a random model.
  private func cleanPass(votes: Bool) throws -> CleanPass {
    let (data, size) = (evaluator.data, evaluator.batchSize)
    let averaged = votes ? AveragedClassifier(evaluator.model) : nil
    var pass = CleanPass()
    for range in (0..<data.count).chunks(of: size) {
      if shouldStop() { throw JobStopped() }
      let (images, expected) = try data.batch(range)
      let means = try averaged?.vote(moved(images), expected.to(evaluator.device)).logits
      pass.take(images, try means ?? forward(evaluator.model, images))
      let done = pass.predictions.count
      progress(
        EvaluationProgress(
          phase: "clean", done: done, total: data.count, fraction: Double(done) / Double(data.count),
          correct: zip(pass.predictions, labels).count { $0 == $1 }))
    }
    return pass
  }

  // MARK: Checks

  /// Returns the state before the first attack, with the warnings of the clean pass and the checks.
  private func state(after clean: CleanPass) throws -> EvaluationState {
    var pass = clean
    var state = pass.state
    state.isRandom = plan.expectsRandomness
    guard plan.checks else { return state }
    let findings = try questions(pass.predictions, logits: state.logits)
    if findings.isRandom && !plan.expectsRandomness && plan.mode == .fast {
      pass = try cleanPass(votes: true)
      state = pass.state
    }
    state.isRandom = plan.expectsRandomness || findings.isRandom
    state.isDifferentiable = findings.isDifferentiable
    // Non-finite outputs have non-finite gradients, so one warning is enough.
    let known = Set(state.warnings.map(\.code))
    state.warnings += findings.warnings.filter { !known.contains($0.code) }
    if let warning = pass.inputRange(labels, evaluator.data.name) { state.warnings.append(warning) }
    return state
  }

  /// Runs the checks on the first correct samples, or on the first samples if none is correct.
  private func questions(_ predictions: [Int], logits: Tensor) throws -> SanityChecks.Findings {
    let correct = predictions.indices.filter { predictions[$0] == labels[$0] }
    let chosen = Tensor(Array((correct.isEmpty ? Array(predictions.indices) : correct).prefix(SanityChecks.samples)))
    let (images, some) = try evaluator.data.batch(at: chosen)
    let checks = SanityChecks(
      model: evaluator.model, images: moved(images), labels: some.to(evaluator.device),
      logits: logits.selecting(chosen).to(evaluator.device))
    return try checks.run(
      needsGradient: plan.attacks.contains { type(of: $0).needsGradients }, expectsRandomness: plan.expectsRandomness,
      mode: plan.mode)
  }

  // MARK: Attacks

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
    state.seconds += secondsSinceKept
    begun = clock.now
    try store.save(state, adversarial)
  }

  /// The seconds that the state does not include yet.
  var secondsSinceKept: Double { (clock.now - begun) / .seconds(1) }

  // MARK: Finished

  private func evaluation(_ state: EvaluationState) -> Evaluation {
    var warnings = state.warnings
    if let warning = SanityChecks.squareBetter(state.outcomes, clean: clean(state), isIndividual: plan.isIndividual) {
      warnings.append(warning)
    }
    return Evaluation(
      labels: labels, predictions: state.predictions, attacks: state.outcomes, records: state.records, warnings: warnings,
      seconds: state.seconds + secondsSinceKept)
  }

  // MARK: The model's device

  /// Moves images to the model's device, in its memory format.
  func moved(_ images: Tensor) -> Tensor { images.to(evaluator.device).contiguous(evaluator.layout) }

  func forward(_ model: any Classifier, _ images: Tensor) throws(TorchError) -> Tensor {
    try withNoGrad { () throws(TorchError) in try model.confirmedLogits(moved(images)) }
  }
}
