internal import SwiftTorch

/// The phase of one attack.
extension EvaluationRun {
  /// Runs an attack on all open samples, group by group.
  func run(_ attack: any Attack, _ state: inout EvaluationState) throws {
    let before = plan.isIndividual ? clean(state) : state.outcomes.last?.flags ?? clean(state)
    let open = before.indices.filter { before[$0] }
    let votes = plan.mode == .fast && state.isRandom
    var outcome = state.current ?? .init(name: attack.name, flags: before, seconds: 0, cost: AttackCost())
    // In other modes the result depends on how the samples are split into groups.
    var sizes = store.flatMap { plan.mode == .fast && !votes ? GroupSize(maximum: evaluator.batchSize, limit: $0.groupTime) : nil }
    while state.done < open.count {
      let size = sizes?.samples(pace: pace(of: attack, state, outcome)) ?? evaluator.batchSize
      let positions = Array(open[state.done..<min(state.done + size, open.count)])
      func report(done: Int, part: Double) {
        progress(
          EvaluationProgress(
            phase: attack.name, done: done, total: open.count, fraction: (Double(done) + part) / Double(open.count),
            correct: outcome.flags.count { $0 }))
      }
      let done = state.done
      let metered = MeteredClassifier(
        evaluator.model, samples: positions.count, passesPerSample: attack.passesPerSample(classes: state.logits.size(1)),
        countsConfirmations: plan.mode == .compat, shouldStop: shouldStop
      ) { report(done: done, part: $0 * Double(positions.count)) }
      let group: Group
      do {
        group = try run(attack, metered, votes: votes, positions, state)
      } catch {
        guard metered.isStopped else { throw error }
        try keep(&state, now: true)
        throw JobStopped()
      }
      for record in group.records { outcome.flags[record.sample] = false }
      sizes?.observe(positions.count, seconds: group.seconds, passes: group.cost.passes)
      outcome.cost += group.cost
      outcome.cost += group.judging
      outcome.seconds += group.seconds
      state.records += group.records
      state.done += positions.count
      state.current = outcome
      try keep(&state, now: false)
      report(done: state.done, part: 0)
    }
    state.outcomes.append(outcome)
    state.current = nil
    state.done = 0
    try keep(&state, now: true)
  }

  /// Returns the attack's seconds per sample, measured or else expected from the passes so far; nil if unknown.
  private func pace(of attack: any Attack, _ state: EvaluationState, _ outcome: Evaluation.Outcome) -> Double? {
    if state.done > 0 { return outcome.seconds / Double(state.done) }
    let passes = attack.passesPerSample(classes: state.logits.size(1)) * (type(of: attack).needsGradients ? 3 : 1)
    let spent = state.outcomes.reduce(evaluator.data.count) { $0 + $1.cost.passes }
    return passes == 0 ? nil : Double(passes) * state.secondsUntilNow / Double(spent)
  }

  /// The results of an attack on a group of samples.
  private struct Group {
    var records: [Evaluation.Record]
    var seconds: Double
    /// The cost of the attack without the votes.
    var cost: AttackCost
    /// The cost of the votes on the attack's findings.
    var judging: AttackCost
  }

  private func run(
    _ attack: any Attack, _ metered: MeteredClassifier, votes: Bool, _ positions: [Int], _ state: EvaluationState
  ) throws(TorchError) -> Group {
    let clock = ContinuousClock()
    let (start, spent) = (clock.now, attack.cost)
    let votes = votes ? AveragedClassifier(metered) : nil
    try seedGenerators(attack.name, sample: positions[0])
    var batch = try batch(positions, state.logits)
    if plan.mode == .fast { batch.onBroken = metered.broke }
    let result = try attack.perturb(votes ?? metered, batch)
    let (hits, judging) = try hits(result, batch, metered, votes)
    let records = try records(hits, attack, result, batch, positions, alreadyBroken: Set(state.records.map(\.sample)))
    return Group(records: records, seconds: (clock.now - start) / .seconds(1), cost: attack.cost - spent, judging: judging)
  }

  private func batch(_ positions: [Int], _ logits: Tensor) throws(TorchError) -> AttackBatch {
    let indices = Tensor(positions)
    let (images, labels) = try evaluator.data.batch(at: indices)
    // The image, not its position, keys the draws, so the order and the selected part of the data do not change them.
    let keys = positions.indices.map { Int(bitPattern: UInt(images[$0].fingerprint)) }
    return AttackBatch(
      images: moved(images), labels: labels.to(evaluator.device), samples: keys,
      logits: logits.selecting(indices).to(evaluator.device), capacity: evaluator.batchSize)
  }

  /// Returns the rows of a batch that count as broken, and the cost of the votes on them.
  private func hits(
    _ result: AttackResult, _ batch: AttackBatch, _ metered: MeteredClassifier, _ votes: AveragedClassifier?
  ) throws(TorchError) -> (rows: [Int], judging: AttackCost) {
    if plan.mode == .compat {
      // The reference sets a flag by one more pass over the whole batch.
      let wrong = try metered.answers(moved(result.images)).misclassifies(batch.labels)
      return (wrong.nonzero().squeezed(dim: 1).array(of: Int.self), AttackCost())
    }
    let found = result.findings.indices.filter { result.findings[$0] != nil }
    guard let votes, !found.isEmpty else { return (found, AttackCost()) }
    // The attack chose the image after many passes, so an independent vote decides.
    let rows = Tensor(found).to(evaluator.device)
    let vote = try votes.vote(result.images.selecting(rows), batch.labels.selecting(rows))
    return (zip(found, vote.isRight).filter { !$0.1 }.map { $0.0 }, AttackCost(forward: vote.passes))
  }

  /// Makes the records of the broken samples, and collects the image of each newly broken sample.
  private func records(
    _ hits: [Int], _ attack: any Attack, _ result: AttackResult, _ batch: AttackBatch, _ positions: [Int], alreadyBroken: Set<Int>
  ) throws(TorchError) -> [Evaluation.Record] {
    guard !hits.isEmpty else { return [] }
    let rows = Tensor(hits).to(evaluator.device)
    let broken = result.images.selecting(rows)
    let norms = attack.threat.size(from: batch.images.selecting(rows), to: broken).to(.float64).array(of: Double.self)
    try check(attack, broken, norms)
    let new = hits.indices.filter { !alreadyBroken.contains(positions[hits[$0]]) }
    if let adversarial, !new.isEmpty {
      adversarial.put(broken.selecting(Tensor(new).to(evaluator.device)).to(.cpu), at: new.map { positions[hits[$0]] })
    }
    return zip(hits, norms).map { hit, norm in
      Evaluation.Record(
        sample: positions[hit], attack: attack.name, finding: result.findings[hit] ?? Finding(restart: 0, step: 0), norm: norm)
    }
  }

  /// Throws if an attack left its threat model, because its images would count as broken.
  private func check(_ attack: any Attack, _ images: Tensor, _ norms: [Double]) throws(TorchError) {
    let limit = attack.threat.tolerance
    let isInside = images.min().item() >= 0 && images.max().item() <= 1 && norms.allSatisfy { $0 <= limit }
    guard isInside else {
      throw TorchError(
        .runtime,
        "\(attack.name) left its threat model (\(attack.threat.norm.rawValue) \(norms.max() ?? 0); expected at most \(limit)); "
          + "please report it")
    }
  }
}
