/// Estimates the time that a training run still needs, from the times of its batches and its schedule of lambda.
///
/// A curriculum moves more samples as lambda rises, so later epochs take longer than the first ones.
package struct TrainingPace {
  /// The cost of an update of the weights, in steps of the attack.
  private static let updateCost = 1.5

  private let epochs: Int
  private let lambda: Schedule
  /// The steps of the attack at full strength.
  private let steps: Int
  /// The seconds of the last epoch's worth of batches, without the first batch, which warms up.
  private var durations: [Double] = []
  /// The seconds between epochs, for validation and checkpoints.
  private var pauses: [Double] = []
  private var last: (epoch: Int, batch: Int, batches: Int, seconds: Double, active: Double?)?

  package init(epochs: Int, lambda: Schedule, steps: Int) {
    (self.epochs, self.lambda, self.steps) = (epochs, lambda, steps)
  }

  /// Records the end of a batch at a time in seconds; `active` is the number of steps, weighted by the fraction of samples moved.
  package mutating func batchDone(epoch: Int, batch: Int, of batches: Int, active: Double?, at seconds: Double) {
    if let last {
      let elapsed = seconds - last.seconds
      if epoch == last.epoch {
        durations = durations.suffix(batches - 1) + [elapsed]
      } else {
        pauses.append(max(0, elapsed - secondsPerBatch))
      }
    }
    last = (epoch, batch, batches, seconds, active)
  }

  private var secondsPerBatch: Double { durations.isEmpty ? 0 : durations.reduce(0, +) / Double(durations.count) }

  /// The seconds left after the last batch; nil before the second batch.
  package var left: Double? {
    guard let last, !durations.isEmpty else { return nil }
    let rest = Double(last.batches - last.batch - 1)
    let whole = (last.epoch + 1..<max(epochs, last.epoch + 1)).reduce(0) { $0 + cost(of: $1, after: last.epoch, last.active) }
    let pause = pauses.isEmpty ? 0 : pauses.reduce(0, +) / Double(pauses.count)
    return secondsPerBatch * (rest + whole * Double(last.batches)) + pause * Double(max(0, epochs - last.epoch))
  }

  /// Returns the cost of an epoch relative to the current one. The samples that move increase with lambda, up to all of them.
  private func cost(of epoch: Int, after current: Int, _ active: Double?) -> Double {
    let (now, final) = (lambda.value(at: current), lambda.value(at: epochs - 1))
    guard let active, final > now else { return 1 }
    let (cost, full) = (Self.updateCost + active, Self.updateCost + max(active, Double(steps)))
    let progress = min(1, max(0, (lambda.value(at: epoch) - now) / (final - now)))
    return 1 + (full / cost - 1) * progress
  }
}
