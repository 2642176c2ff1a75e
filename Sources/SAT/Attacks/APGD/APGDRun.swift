internal import SwiftTorch

/// The points of a run of APGD, with the best points so far.
struct APGDPoints {
  var x: Tensor
  var gradient: Tensor
  /// The points of the largest loss so far, [R, C, H, W].
  private(set) var best: Tensor
  private var bestGradient: Tensor
  private(set) var bestLoss: Tensor

  init(x: Tensor, gradient: Tensor, losses: Tensor) {
    self.x = x
    self.gradient = gradient
    best = x
    bestGradient = gradient
    bestLoss = losses
  }

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
    (part.x, part.gradient) = (x.rows(at: kept), gradient.rows(at: kept))
    (part.best, part.bestGradient, part.bestLoss) = (best.rows(at: kept), bestGradient.rows(at: kept), bestLoss.selecting(kept))
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

  /// Runs the attack from a starting point.
  ///
  /// - Parameters:
  ///   - start: [R, C, H, W] in [0, 1].
  ///   - isFresh: True if the start is random, false if it is the end of an earlier run.
  /// - Returns: The points of the largest loss of the remaining rows; nil if no row remains.
  func callAsFunction(_ rows: SearchRows, from start: Tensor, isFresh: Bool = true) throws(TorchError) -> Tensor? {
    guard let first = try measure(rows, start, step: 0, wantsGradient: true) else { return nil }
    let x = first.kept.map { start.rows(at: $0) } ?? start
    var points = APGDPoints(x: x, gradient: first.gradient!, losses: first.losses)
    var rule: any APGDRule =
      norm == .l1
      ? SparseRule(radius: radius, iterations: iterations, points, clean: rows.clean, isFresh: isFresh)
      : MomentumRule(norm, radius: radius, iterations: iterations, points, clean: rows.clean)
    for step in 1...iterations {
      points.x = withNoGrad { rule.moved(points, clean: rows.clean) }
      // Nothing uses the gradient after the last step.
      guard let now = try measure(rows, points.x, step: step, wantsGradient: step < iterations) else { return nil }
      withNoGrad {
        if let kept = now.kept { (points, rule) = (points.selecting(kept), rule.selecting(kept)) }
        points.observe(now.losses, now.gradient)
        onStep(step, now.losses)
        if let restore = rule.restored(points, losses: now.losses, clean: rows.clean) {
          points.restore(restore)
          onCheck(step, rule.stepSizes)
        }
      }
    }
    return points.best
  }

  /// The losses and gradients of the rows that stay after a pass.
  private struct Measurement {
    var losses: Tensor
    var gradient: Tensor?
    /// The positions of the rows that stay, among the rows of the pass; nil if all stay.
    var kept: Tensor?
  }

  private func measure(_ rows: SearchRows, _ x: Tensor, step: Int, wantsGradient: Bool) throws(TorchError) -> Measurement? {
    var gradient: Tensor?
    // With several passes the reference judges by the last pass, which counts a lucky draw as a success. `fast` uses the mean.
    var (sum, losses): (Tensor?, Tensor?)
    for pass in 0..<passes {
      let input = x.detached().requireGrad(wantsGradient)
      let (logits, values) = try withGradMode(wantsGradient) { () throws(TorchError) in
        let logits = try rows.logits(input)
        return (logits, loss.values(logits, rows.labels, rows.targets))
      }
      let isMean = passes > 1 && rows.mode == .fast
      sum = isMean ? sum.map { $0 + logits.detached() } ?? logits.detached() : logits.detached()
      losses = isMean ? losses.map { $0 + values.detached() } ?? values.detached() : values.detached()
      let isLast = pass == passes - 1
      var kept: Tensor?
      if isLast && isFinal {
        kept = try rows.recordHits(sum!.argmax(dim: 1).notEqual(to: rows.labels), at: x, step: step)
        if rows.count == 0 { return nil }
      }
      if wantsGradient {
        let part = try rows.gradient(of: values, at: input)
        gradient = gradient.map { $0 + part } ?? part
      }
      guard isLast else { continue }
      if passes > 1 {
        gradient = gradient.map { $0 / Double(passes) }
        if isMean { losses = losses! / Double(passes) }
      }
      return Measurement(
        losses: kept.map { losses!.selecting($0) } ?? losses!, gradient: kept.map { gradient?.rows(at: $0) } ?? gradient, kept: kept
      )
    }
    return nil
  }
}
