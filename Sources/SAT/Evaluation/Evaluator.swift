public import SwiftTorch

/// Measures a model's accuracy on images as they are and under attacks, the worst case over the attacks.
///
/// Every attack starts from the original images of the samples that are still classified correctly, in blocks of the batch size. In mode
/// `fast` a model that draws is judged by votes (`AveragedClassifier`); in `compat` one pass decides, as in the reference.
public struct Evaluator {
  private let model: any Classifier
  private let data: ImageDataset
  private let batchSize: Int
  private let device: Device
  private let layout: MemoryFormat

  /// - Parameter model: in evaluation mode, on `device`.
  public init(model: any Classifier, data: ImageDataset, batchSize: Int, device: Device, layout: MemoryFormat) {
    self.model = model
    self.data = data
    self.batchSize = batchSize
    self.device = device
    self.layout = layout
  }

  /// Runs attacks one after the other, without the questions of `SanityChecks`.
  ///
  /// - Throws: what the model throws.
  public func run(_ attacks: [any Attack]) throws -> Evaluation {
    try run(EvaluationPlan(attacks, checks: false))
  }

  /// - Parameters:
  ///   - adversarial: collects the broken images.
  ///   - store: where to go on from and to save to; a killed run that is started again ends with the same flags.
  ///   - shouldStop: asked before every pass of a batch through the model; true saves the batches that are done and ends the run.
  /// - Throws: what the model throws, `TorchError` when the state cannot be saved, `EvaluationStopped` when it was asked to stop.
  public func run(
    _ plan: EvaluationPlan, adversarial: AdversarialImages? = nil, store: EvaluationStore? = nil,
    progress: @escaping (EvaluationProgress) -> Void = { _ in }, shouldStop: @escaping () -> Bool = { false }
  ) throws -> Evaluation {
    let clock = ContinuousClock()
    let labels = data.labels.array(of: Int.self)
    var state: EvaluationState
    var begun = clock.now
    if let saved = store?.saved {
      state = saved.state
      if let adversarial { saved.adversarial.forEach { adversarial.put($0.images, at: $0.positions) } }
    } else {
      state = try cleanPass(labels, plan, progress, shouldStop)
    }
    /// Writes down what is done, if the last time was long enough ago or it is wanted now.
    func keep(_ state: inout EvaluationState, now: Bool) throws(TorchError) {
      guard let store, now || store.isDue else { return }
      state.seconds += (clock.now - begun) / .seconds(1)
      begun = clock.now
      try store.save(state, adversarial)
    }
    let clean = zip(labels, state.predictions).map { $0 == $1 }
    let votes = plan.mode == .fast && state.isRandom
    let attacks = state.isDifferentiable ? plan.attacks : plan.attacks.filter { !type(of: $0).needsGradients }
    guard !attacks.isEmpty || plan.attacks.isEmpty else {
      throw SATError(
        "the model's output cannot be differentiated with respect to the image, which \(plan.attacks.map(\.name).joined(separator: ", ")) "
          + "cannot do without; use --attack square, which asks for logits only")
    }
    for attack in attacks.dropFirst(state.outcomes.count) {
      let before = plan.isIndividual ? clean : state.outcomes.last?.flags ?? clean
      let open = before.indices.filter { before[$0] }
      var current = state.current ?? .init(name: attack.name, flags: before, seconds: 0, cost: AttackCost())
      // Only there does nothing depend on how the samples are cut into blocks.
      var blocks = store.flatMap { plan.mode == .fast && !votes ? BlockSize(most: batchSize, limit: $0.block) : nil }
      while state.done < open.count {
        let start = clock.now
        let size = blocks?.samples(pace: pace(of: attack, state, current, now: (clock.now - begun) / .seconds(1))) ?? batchSize
        let positions = Array(open[state.done..<min(state.done + size, open.count)])
        let spent = attack.cost
        let expected = attack.passesPerSample(classes: state.logits.size(1)) * positions.count
        let metered = MeteredClassifier(model, expected: expected, countsConfirmations: plan.mode == .compat, shouldStop: shouldStop) { part in
          progress(
            EvaluationProgress(
              phase: attack.name, done: state.done, total: open.count,
              fraction: (Double(state.done) + part * Double(positions.count)) / Double(open.count),
              correct: current.flags.count { $0 }))
        }
        let records: [Evaluation.Record]
        var judging = AttackCost()
        try plan.startDraws(attack.name, sample: positions[0])
        do {
          records = try run(
            attack, metered, votes: votes ? AveragedClassifier(metered) : nil, positions, state.logits, plan.mode, adversarial,
            alreadyBroken: Set(state.records.map(\.sample)), &judging)
        } catch {
          guard metered.isStopped else { throw error }
          try keep(&state, now: true)
          throw EvaluationStopped()
        }
        for record in records { current.flags[record.sample] = false }
        state.records += records
        let (cost, seconds) = (attack.cost - spent, (clock.now - start) / .seconds(1))
        blocks?.observe(positions.count, seconds: seconds, passes: cost.passes)
        current.cost += cost
        current.cost += judging
        current.seconds += seconds
        state.done += positions.count
        state.current = current
        try keep(&state, now: false)
        progress(
          EvaluationProgress(
            phase: attack.name, done: state.done, total: open.count, fraction: Double(state.done) / Double(open.count),
            correct: current.flags.count { $0 }))
      }
      state.outcomes.append(current)
      (state.current, state.done) = (nil, 0)
      try keep(&state, now: true)
    }
    var warnings = state.warnings
    if let warning = SanityChecks.squareBetter(state.outcomes, clean: clean, isIndividual: plan.isIndividual) { warnings.append(warning) }
    return Evaluation(
      labels: labels, predictions: state.predictions, attacks: state.outcomes, records: state.records, warnings: warnings,
      seconds: state.seconds + (clock.now - begun) / .seconds(1))
  }

  /// Accuracy on the images as they are, and what the logits and some questions say about the model.
  private func cleanPass(
    _ labels: [Int], _ plan: EvaluationPlan, _ progress: (EvaluationProgress) -> Void, _ shouldStop: () -> Bool
  ) throws -> EvaluationState {
    func look(votes: AveragedClassifier?) throws -> CleanPass {
      var pass = CleanPass()
      for range in stride(from: 0, to: data.count, by: batchSize).map({ $0..<min($0 + batchSize, data.count) }) {
        if shouldStop() { throw EvaluationStopped() }
        let (images, expected) = try data.batch(range)
        pass.take(images, try votes?.judged(images.to(device).contiguous(layout), expected.to(device)).logits ?? forward(model, images))
        progress(
          EvaluationProgress(
            phase: "clean", done: pass.predictions.count, total: data.count, fraction: Double(pass.predictions.count) / Double(data.count),
            correct: zip(pass.predictions, labels).count { $0 == $1 }))
      }
      return pass
    }
    try plan.startDraws("clean")
    let averaged = plan.mode == .fast ? AveragedClassifier(model) : nil
    var pass = try look(votes: plan.expectsRandomness ? averaged : nil)
    var state = pass.state
    state.isRandom = plan.expectsRandomness
    if plan.checks {
      let predictions = pass.predictions
      let correct = predictions.indices.filter { predictions[$0] == labels[$0] }
      let chosen = Tensor(Array((correct.isEmpty ? Array(predictions.indices) : correct).prefix(SanityChecks.samples)))
      let (images, some) = try data.batch(at: chosen)
      let findings = try SanityChecks(
        model: model, images: images.to(device).contiguous(layout), labels: some.to(device), logits: state.logits.selecting(chosen).to(device)
      ).run(needsGradient: plan.attacks.contains { type(of: $0).needsGradients }, expectsRandomness: plan.expectsRandomness, mode: plan.mode)
      if findings.isRandom && !state.isRandom && plan.mode == .fast {
        pass = try look(votes: averaged)
        state = pass.state
      }
      state.isRandom = state.isRandom || findings.isRandom
      state.isDifferentiable = findings.isDifferentiable
      // Of outputs that are not finite the gradients are not either, which is no second finding.
      let known = Set(state.warnings.map(\.code))
      state.warnings += findings.warnings.filter { !known.contains($0.code) }
      if let warning = pass.inputRange(labels, data.name) { state.warnings.append(warning) }
    }
    return state
  }

  /// Seconds a sample of an attack takes, as measured, or else as expected of the passes so far; nil where nobody knows.
  private func pace(of attack: any Attack, _ state: EvaluationState, _ current: Evaluation.Outcome, now: Double) -> Double? {
    if state.done > 0 { return current.seconds / Double(state.done) }
    let passes = attack.passesPerSample(classes: state.logits.size(1)) * (type(of: attack).needsGradients ? 3 : 1)
    let spent = state.outcomes.reduce(data.count) { $0 + $1.cost.passes }
    return passes == 0 ? nil : Double(passes) * (state.seconds + now) / Double(spent)
  }

  /// One batch of an attack; what it broke.
  ///
  /// - Parameters:
  ///   - votes: who decides flags of a model that draws.
  ///   - judging: what their decisions cost is added to it.
  private func run(
    _ attack: any Attack, _ metered: MeteredClassifier, votes: AveragedClassifier?, _ positions: [Int], _ logits: Tensor, _ mode: AttackMode,
    _ adversarial: AdversarialImages?, alreadyBroken: Set<Int>, _ judging: inout AttackCost
  ) throws(TorchError) -> [Evaluation.Record] {
    let indices = Tensor(positions)
    let (images, labels) = try data.batch(at: indices)
    // Keyed by the image rather than by its place, draws do not change with the order or the part of the data that is evaluated.
    let keys = positions.indices.map { Int(bitPattern: UInt(images[$0].fingerprint)) }
    let batch = AttackBatch(
      images: images.to(device).contiguous(layout), labels: labels.to(device), samples: keys,
      logits: logits.selecting(indices).to(device), capacity: batchSize)
    let result = try attack.perturb(votes ?? metered, batch)
    var hits = result.findings.indices.filter { result.findings[$0] != nil }
    if mode == .compat {
      // There a flag is a property of one more pass over the whole batch.
      let wrong = try forward(metered, result.images).argmax(dim: 1).notEqual(to: batch.labels)
      hits = wrong.nonzero().squeezed(dim: 1).array(of: Int.self)
    }
    if let votes, !hits.isEmpty {
      // Chosen among many looks, an image gets a vote that the attack had no part in.
      let rows = Tensor(hits).to(device)
      let vote = try votes.judged(result.images.selecting(rows), batch.labels.selecting(rows))
      judging.forward += vote.passes
      hits = zip(hits, vote.isRight).filter { !$0.1 }.map { $0.0 }
    }
    guard !hits.isEmpty else { return [] }
    let rows = Tensor(hits).to(device)
    let broken = result.images.selecting(rows)
    let norms = attack.threat.size(from: batch.images.selecting(rows), to: broken).to(.float64).array(of: Double.self)
    try check(attack, broken, norms)
    if let adversarial {
      let new = hits.indices.filter { !alreadyBroken.contains(positions[hits[$0]]) }
      if !new.isEmpty { adversarial.put(broken.selecting(Tensor(new).to(device)).to(.cpu), at: new.map { positions[hits[$0]] }) }
    }
    return zip(hits, norms).map { hit, norm in
      Evaluation.Record(sample: positions[hit], attack: attack.name, finding: result.findings[hit] ?? Finding(restart: 0, step: 0), norm: norm)
    }
  }

  /// An attack that leaves its threat model would be counted as a success of the attacker.
  private func check(_ attack: any Attack, _ images: Tensor, _ norms: [Double]) throws(TorchError) {
    let limit = attack.threat.tolerance
    let isInside = images.min().item() >= 0 && images.max().item() <= 1 && norms.allSatisfy { $0 <= limit }
    guard isInside else {
      throw TorchError(
        .runtime,
        "\(attack.name) left its threat model (\(attack.threat.norm.rawValue) \(norms.max() ?? 0), at most \(limit) is allowed); please report it")
    }
  }

  private func forward(_ model: any Classifier, _ images: Tensor) throws(TorchError) -> Tensor {
    try withNoGrad { () throws(TorchError) in try model.confirmedLogits(images.to(device).contiguous(layout)) }
  }
}

extension ThreatModel {
  /// The largest size that is epsilon up to rounding in float32.
  public var tolerance: Double {
    switch norm {
    case .linf: epsilon + 1e-6
    case .l2: epsilon * (1 + 1e-5) + 1e-6
    case .l1: epsilon * (1 + 1e-5) + 1e-5
    }
  }
}

extension AttackCost {
  /// A gradient costs about two forward passes.
  var passes: Int { forward + 2 * backward }

  static func - (a: AttackCost, b: AttackCost) -> AttackCost {
    AttackCost(forward: a.forward - b.forward, backward: a.backward - b.backward)
  }
}

/// An evaluation that was asked to stop has no result; what it had done is in its store, if it has one.
public struct EvaluationStopped: Error {}
