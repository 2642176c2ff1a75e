internal import SwiftTorch

/// The points of a run of APGD, with the best points so far.
struct APGDPoints {
  var x: Tensor
  var gradient: Tensor
  /// [R, C, H, W].
  var best: Tensor
  var bestGradient: Tensor
  /// [R].
  var bestLoss: Tensor

  /// Takes the losses of x, and the gradient at x unless the run is over.
  mutating func observe(_ losses: Tensor, _ gradient: Tensor?) {
    let isBetter = losses.greater(than: bestLoss)
    let rows = isBetter.reshaped(to: -1, 1, 1, 1)
    best = best.replacing(with: x, where: rows)
    bestLoss = bestLoss.replacing(with: losses, where: isBetter)
    guard let gradient else { return }
    bestGradient = bestGradient.replacing(with: gradient, where: rows)
    self.gradient = gradient
  }

  mutating func restore(_ rows: Tensor) {
    let rows = rows.reshaped(to: -1, 1, 1, 1)
    x = x.replacing(with: best, where: rows)
    gradient = gradient.replacing(with: bestGradient, where: rows)
  }

  func selecting(_ kept: Tensor) -> APGDPoints {
    var part = self
    part.x = x.rows(at: kept)
    part.gradient = gradient.rows(at: kept)
    part.best = best.rows(at: kept)
    part.bestGradient = bestGradient.rows(at: kept)
    part.bestLoss = bestLoss.selecting(kept)
    return part
  }
}

/// One run of APGD: from a starting point, over a number of steps, inside one radius.
struct APGDRun {
  let norm: Norm
  let radius: Double
  let iterations: Int
  let loss: AttackLoss
  /// Passes that average the gradient, for random models.
  let passes: Int
  /// True if misclassified points are findings. It is false while the radius exceeds the threat model's.
  var isFinal = true
  /// Receives the losses after every step.
  var onStep: (_ step: Int, _ losses: Tensor) -> Void = { _, _ in }
  /// Receives the step sizes after every checkpoint.
  var onCheck: (_ step: Int, _ sizes: Tensor) -> Void = { _, _ in }

  /// Returns the points of the largest loss of the rows that remain after the steps from `start`, [R, C, H, W]; nil if none remain.
  ///
  /// `isFresh` means a random start, not the end of an earlier run.
  func callAsFunction(_ rows: SearchRows, from start: Tensor, isFresh: Bool = true) throws(TorchError) -> Tensor? {
    guard let first = try measure(rows, start, step: 0, wantsGradient: true) else { return nil }
    let x = first.kept.map { start.rows(at: $0) } ?? start
    let gradient = first.gradient!
    var points = APGDPoints(x: x, gradient: gradient, best: x, bestGradient: gradient, bestLoss: first.losses)
    var rule: any APGDRule =
      norm == .l1
      ? SparseRule(radius: radius, iterations: iterations, points, clean: rows.clean, isFresh: isFresh)
      : MomentumRule(norm, radius: radius, iterations: iterations, points, clean: rows.clean)
    for step in 1...iterations {
      points.x = withNoGrad { rule.moved(points, clean: rows.clean) }
      // Nothing uses the gradient after the last step.
      guard let now = try measure(rows, points.x, step: step, wantsGradient: step < iterations) else { return nil }
      withNoGrad {
        if let kept = now.kept {
          points = points.selecting(kept)
          rule = rule.selecting(kept)
        }
        points.observe(now.losses, now.gradient)
        onStep(step, now.losses)
        if let restore = rule.restored(points, losses: now.losses, clean: rows.clean) {
          points.restore(restore)
          onCheck(step, rule.stepSizes)
        }
      }
    }
    if isFinal { try rows.confirmInFloat32(at: points.best, step: iterations) }
    return points.best
  }

  /// The losses and gradients of the rows that stay.
  private struct Measurement {
    var losses: Tensor
    var gradient: Tensor?
    /// The positions of the rows that stay, among the measured rows; nil if all stay.
    var kept: Tensor?
  }

  /// Measures the points of all rows, and records the hits; nil if no row stays.
  private func measure(_ rows: SearchRows, _ x: Tensor, step: Int, wantsGradient: Bool) throws(TorchError) -> Measurement? {
    // With several passes the reference judges by the last pass, which counts a lucky draw as a success. `fast` uses the mean.
    let isMean = passes > 1 && rows.mode == .fast
    func total(_ sum: Tensor?, _ part: Tensor) -> Tensor { sum.map { $0 + part } ?? part }
    var (logits, losses, gradient, kept): (Tensor?, Tensor?, Tensor?, Tensor?)
    for pass in 1...passes {
      let input = x.detached().requireGrad(wantsGradient)
      let (answers, values) = try withGradMode(wantsGradient) { () throws(TorchError) in
        let answers = try rows.logits(input)
        return (answers, loss.values(answers, rows.labels, rows.targets))
      }
      logits = total(isMean ? logits : nil, answers.detached())
      losses = total(isMean ? losses : nil, values.detached())
      if pass == passes && isFinal {
        kept = try rows.recordHits(logits!.misclassifies(rows.labels), at: x, step: step)
        if rows.count == 0 { return nil }
      }
      if wantsGradient { gradient = total(gradient, try rows.gradient(of: values, at: input)) }
    }
    if passes > 1 { gradient = gradient.map { $0 / Double(passes) } }
    if isMean { losses = losses! / Double(passes) }
    return Measurement(
      losses: kept.map { losses!.selecting($0) } ?? losses!, gradient: kept.map { gradient?.rows(at: $0) } ?? gradient, kept: kept)
  }
}
