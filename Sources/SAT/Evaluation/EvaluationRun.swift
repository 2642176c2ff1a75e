internal import SwiftTorch

/// One evaluation under way, as a sequence of phases: clean, checks, one phase for each attack, finished.
///
/// The state begins with the phase of the first attack. A store saves it between blocks and after each attack, so a run that goes
/// on from a saved state begins in the phase of an attack.
final class EvaluationRun {
  private enum Phase {
    /// The model answers the images as they are.
    case clean
    /// `SanityChecks` asks the model some questions.
    case checks(CleanPass)
    /// The next attack runs. The state's finished attacks tell its number.
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
  /// Since when the time is not in the state yet.
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
        try plan.startDraws("clean")
        phase = .checks(try cleanPass(votes: plan.expectsRandomness && plan.mode == .fast))
      case .checks(let pass):
        phase = .attack(try state(after: pass))
      case .attack(let state):
        let attacks = try usableAttacks(state)
        let number = state.outcomes.count
        phase = number < attacks.count ? .attack(try run(attacks[number], state)) : .finished(state)
      case .finished(let state):
        return evaluation(state)
      }
    }
  }

  /// A saved state goes on where it was saved.
  private func firstPhase() -> Phase {
    guard let saved = store?.saved else { return .clean }
    if let adversarial {
      for (positions, images) in saved.adversarial { adversarial.put(images, at: positions) }
    }
    return .attack(saved.state)
  }

  // MARK: Clean

  /// - Parameter votes: whether the mean logits of many passes count, for a model with random draws.
  private func cleanPass(votes: Bool) throws -> CleanPass {
    let (data, size) = (evaluator.data, evaluator.batchSize)
    let averaged = votes ? AveragedClassifier(evaluator.model) : nil
    var pass = CleanPass()
    for range in (0..<data.count).chunks(of: size) {
      if shouldStop() { throw JobStopped() }
      let (images, expected) = try data.batch(range)
      let means = try averaged?.judged(moved(images), expected.to(evaluator.device)).logits
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

  /// The state before the first attack: what the clean images and the answers to the questions tell about the model.
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
    // Outputs that are not finite have gradients that are not finite either, which is no second finding.
    let known = Set(state.warnings.map(\.code))
    state.warnings += findings.warnings.filter { !known.contains($0.code) }
    if let warning = pass.inputRange(labels, evaluator.data.name) { state.warnings.append(warning) }
    return state
  }

  /// Asks about the first samples that are right, or about the first of all where none is.
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

  /// The attacks of the plan that the model allows.
  private func usableAttacks(_ state: EvaluationState) throws(SATError) -> [any Attack] {
    let usable = state.isDifferentiable ? plan.attacks : plan.attacks.filter { !type(of: $0).needsGradients }
    guard usable.isEmpty, !plan.attacks.isEmpty else { return usable }
    let names = plan.attacks.map(\.name).joined(separator: ", ")
    let others = AttackRegistry.entries.filter { !$0.needsGradients }.map(\.name)
    throw SATError(
      "the model's output cannot be differentiated with respect to the image, which \(names) cannot do without; "
        + "use --attack \(others.joined(separator: " or ")), which asks for logits only")
  }

  /// Which samples are right as they are.
  func clean(_ state: EvaluationState) -> [Bool] { zip(labels, state.predictions).map { $0 == $1 } }

  /// Writes the state down, if the last time was long enough ago or it is wanted now.
  func keep(_ state: inout EvaluationState, now: Bool) throws(TorchError) {
    guard let store, now || store.isDue else { return }
    state.seconds += secondsSinceKept
    begun = clock.now
    try store.save(state, adversarial)
  }

  /// Seconds that are not in the state yet.
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

  // MARK: The model's place

  /// Images where the model is, in its memory format.
  func moved(_ images: Tensor) -> Tensor { images.to(evaluator.device).contiguous(evaluator.layout) }

  func forward(_ model: any Classifier, _ images: Tensor) throws(TorchError) -> Tensor {
    try withNoGrad { () throws(TorchError) in try model.confirmedLogits(moved(images)) }
  }
}
