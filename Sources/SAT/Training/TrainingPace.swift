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
  /// The seconds per unit of cost in the last epoch's worth of batches, without the first batch, which warms up.
  private var paces: [Double] = []
  /// The seconds between epochs, for validation and checkpoints.
  private var pauses: [Double] = []
  private var last: (epoch: Int, batch: Int, batches: Int, seconds: Double, active: Double?)?

  package init(epochs: Int, lambda: Schedule, steps: Int) {
    self.epochs = epochs
    self.lambda = lambda
    self.steps = steps
  }

  /// Records the end of a batch at a time in seconds; `active` is the number of steps, weighted by the fraction of samples moved.
  package mutating func batchDone(epoch: Int, batch: Int, of batches: Int, active: Double?, at seconds: Double) {
    if let last {
      let elapsed = seconds - last.seconds
      if epoch == last.epoch {
        paces = paces.suffix(batches - 1) + [elapsed / Self.cost(active)]
      } else {
        pauses.append(max(0, elapsed - secondsPerUnit * Self.cost(active)))
      }
    }
    last = (epoch, batch, batches, seconds, active)
  }

  /// Returns the cost of a batch, in steps of the attack.
  private static func cost(_ active: Double?) -> Double { updateCost + (active ?? 0) }

  private var secondsPerUnit: Double { paces.isEmpty ? 0 : paces.reduce(0, +) / Double(paces.count) }

  /// The seconds left after the last batch; nil before the second batch.
  package var left: Double? {
    guard let last, !paces.isEmpty else { return nil }
    let rest = Double(last.batches - last.batch - 1) * Self.cost(last.active)
    let later = (last.epoch + 1..<max(epochs, last.epoch + 1)).map { cost(of: $0, after: last.epoch, last.active) }
    let pause = pauses.isEmpty ? 0 : pauses.reduce(0, +) / Double(pauses.count)
    return secondsPerUnit * (rest + later.reduce(0, +) * Double(last.batches)) + pause * Double(max(0, epochs - last.epoch))
  }

  /// Returns the cost of a later epoch's batch. The samples that move increase with lambda, up to all of them.
  private func cost(of epoch: Int, after current: Int, _ active: Double?) -> Double {
    let (now, final) = (lambda.value(at: current), lambda.value(at: epochs - 1))
    guard let active, final > now else { return Self.cost(active) }
    let progress = min(1, max(0, (lambda.value(at: epoch) - now) / (final - now)))
    return Self.cost(active + max(0, Double(steps) - active) * progress)
  }
}
