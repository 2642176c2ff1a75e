extension TrainingConfiguration {
  /// Returns the configuration if every value is in its range; throws `SATError` that names the first other one.
  public func validated() throws(SATError) -> TrainingConfiguration {
    let entry = try DefenseRegistry.entry(named: method)
    _ = try maximizer
    try require("attack.steps", attack.steps, in: Limit.steps)
    try require("attack.stepSize", attack.stepSize.value, above: 0, to: Limit.number.upperBound)
    try methodOptions.validate(for: entry)
    try require(entry.usesLambda || lambda == .constant(1), "lambda", lambda, "to be left out: \(method) has no schedule of lambda")
    if entry.usesLambda { try validate(lambda, range: entry.lambdaRange) }
    try require(awp.gamma >= 0 && awp.gamma < 1, "awp.gamma", awp.gamma, "0 <= gamma < 1, 0 for none")
    try require("awp.warmup", awp.warmup, in: Limit.epoch)
    _ = try augmentation.validated()
    _ = try Normalization.optional(normalization)
    try require("epochs", epochs, in: Limit.epochs)
    try require("batchSize", batchSize, in: Limit.batchSize)
    try validateOptimizer()
    try validateMeasurements()
    try require("execution.threads", execution.threads, in: 0...Limit.threads.upperBound)
    return self
  }

  private func validateOptimizer() throws(SATError) {
    try require("optimizer.learningRate", optimizer.learningRate, above: 0, to: Limit.number.upperBound)
    try require((0..<1).contains(optimizer.momentum), "optimizer.momentum", optimizer.momentum, "0 <= momentum < 1")
    try require("optimizer.weightDecay", optimizer.weightDecay, in: Limit.number)
    try require(
      !optimizer.nesterov || (optimizer.name == .sgd && optimizer.momentum > 0), "optimizer.nesterov", true,
      "false unless the optimizer is sgd with a momentum")
    try require("optimizer.maxGradientNorm", optimizer.maxGradientNorm, in: Limit.number, "; 0 for no limit")
    for milestone in learningRateSchedule.milestones { try require("learningRateSchedule.milestones", milestone, in: Limit.epoch) }
    try require("learningRateSchedule.gamma", learningRateSchedule.gamma, above: 0, to: 1)
    let peak = learningRateSchedule.peak
    try require(peak > 0 && peak < 1, "learningRateSchedule.peak", peak, "a part of the run, 0 < peak < 1")
    try require(averaging.decay > 0 && averaging.decay < 1, "averaging.decay", averaging.decay, "0 < decay < 1")
    try require(
      averaging.kind == .none || (0..<epochs).contains(averaging.start), "averaging.start", averaging.start,
      "an epoch of the run, 0 to \(epochs - 1)")
  }

  private func validateMeasurements() throws(SATError) {
    try require("validation.every", validation.every, in: Limit.epochs)
    try require("checkpoints.minutes", checkpoints.minutes, in: Limit.number)
    try require("smoothness.every", smoothness.every, in: 0...Limit.epochs.upperBound, "; 0 for never")
    try require("smoothness.samples", smoothness.samples, in: Limit.batchSize)
    try require("smoothness.probes", smoothness.probes, in: Limit.probes)
  }

  private func validate(_ schedule: Schedule, range: ClosedRange<Double>) throws(SATError) {
    switch schedule {
    case .constant(let value): try require("lambda.value", value, in: range)
    case .step(let initial, let milestones):
      try require("lambda.initial", initial, in: range)
      for milestone in milestones {
        try require("lambda.milestones.epoch", milestone.epoch, in: Limit.epoch)
        try require("lambda.milestones.value", milestone.value, in: range)
      }
    case .linear(let initial, let final, let start, let end):
      try require("lambda.initial", initial, in: range)
      try require("lambda.final", final, in: range)
      try require("lambda.start", start, in: Limit.epoch)
      try require("lambda.end", end, in: Limit.epoch)
    }
  }

  private func require(_ holds: Bool, _ key: String, _ value: Any, _ expected: String) throws(SATError) {
    if !holds { throw SATError("\(key) is \(value); expected \(expected)") }
  }

  /// Checks a value against its range; NaN is in no range.
  private func require(_ key: String, _ value: Int, in range: ClosedRange<Int>, _ remark: String = "") throws(SATError) {
    try require(range.contains(value), key, value, "a whole number from \(range.lowerBound) to \(range.upperBound)\(remark)")
  }

  private func require(_ key: String, _ value: Double, in range: ClosedRange<Double>, _ remark: String = "") throws(SATError) {
    try require(range.contains(value), key, value, "\(Fraction(range.lowerBound)) to \(Fraction(range.upperBound))\(remark)")
  }

  private func require(_ key: String, _ value: Double, above low: Double, to high: Double) throws(SATError) {
    try require(value > low && value <= high, key, value, "more than \(Fraction(low)), at most \(Fraction(high))")
  }
}
