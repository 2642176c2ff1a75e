import Foundation
import SAT
import SwiftTorch

/// Shows a training run on standard error.
final class TrainingDisplay: TrainingObserver {
  private let trainer: Trainer
  private let terminal = Terminal.standardError
  private let clock = ContinuousClock()
  private var start: ContinuousClock.Instant
  private let firstEpoch: Int
  /// When the last batches were done, an epoch's worth of them: a curriculum gets slower as it gets harder, so older ones tell nothing.
  private var ends: [ContinuousClock.Instant] = []

  init(_ trainer: Trainer) {
    self.trainer = trainer
    start = clock.now
    firstEpoch = trainer.completedEpochs
  }

  func begin() {
    let c = trainer.configuration
    terminal.line(
      "\(c.method) on \(c.data): \(trainer.trainSet.count) images to train, \(trainer.validationSet.count) to validate; "
        + "\(c.model.name), \(c.threat.norm.rawValue) epsilon \(c.threat.epsilon), \(c.attack.steps) steps of \(c.attack.stepSize); "
        + "run folder \(trainer.folder.path)")
    if c.averaging.kind != .none {
      terminal.line("best and last hold the weights averaged (\(c.averaging.kind.rawValue)) from epoch \(c.averaging.start + 1) on")
    }
    if let place { terminal.line("resuming after \(place)") }
    start = clock.now
  }

  /// How far the run is; nil before its first step.
  private var place: String? {
    let (epochs, batches) = (trainer.completedEpochs, trainer.completedBatches)
    if trainer.isAwaitingValidation { return "epoch \(epochs + 1), without its validation" }
    if epochs + batches == 0 { return nil }
    let inside = "\(batches) batch\(batches == 1 ? "" : "es") of epoch \(epochs + 1)"
    return batches > 0 ? inside : "\(epochs) epoch\(epochs == 1 ? "" : "s")"
  }

  /// What an interrupted run keeps.
  var kept: String {
    place.map { "everything is kept up to \($0); go on with `sat train --run \(trainer.folder.path) --resume`" } ?? "nothing was kept yet"
  }

  func batchDone(epoch: Int, batch: Int, batches: Int, loss: Double) {
    let (epochs, lambda) = (trainer.configuration.epochs, trainer.configuration.lambda)
    let done = Double(epoch - firstEpoch) + Double(batch + 1) / Double(batches)
    ends.append(clock.now)
    if ends.count > batches + 1 { ends.removeFirst() }
    let pace = (ends[ends.count - 1] - ends[0]) / .seconds(1) / Double(ends.count - 1)
    let left = Terminal.Estimate(
      seconds: pace * Double((epochs - epoch) * batches - batch - 1), isLeast: lambda.value(at: epoch) < lambda.value(at: epochs - 1))
    terminal.progress(
      "epoch \(epoch + 1)/\(epochs)", fraction: done / Double(epochs - firstEpoch), since: start, left: left,
      detail: "loss \(decimal(loss, 3))")
  }

  func validating(epoch: Int) {}

  func epochDone(_ metrics: EpochMetrics, isBest: Bool) {
    var parts = ["epoch \(metrics.epoch + 1)/\(trainer.configuration.epochs)"]
    if let lambda = metrics.lambda { parts.append("lambda \(decimal(lambda, 2))") }
    parts.append("loss \(decimal(metrics.train.loss, 3))")
    if let validation = metrics.validation {
      parts.append("clean \(percent(validation.clean, 1))")
      parts.append("robust \(percent(validation.robust, 1))\(isBest ? " (best)" : "")")
    }
    if let active = metrics.active { parts.append("active \(percent(active.reduce(0, +) / Double(max(active.count, 1)), 1))") }
    parts.append("\(decimal(metrics.seconds, 1)) s")
    if let waited = metrics.dataSeconds, waited > 0.05 * metrics.seconds { parts.append("waited \(decimal(waited, 1)) s for data") }
    terminal.line(parts.joined(separator: "   "))
  }

  func warn(_ message: String) { terminal.warn(message) }
}

/// What a finished run answers.
struct TrainingSummary: Encodable {
  struct Best: Encodable {
    var epoch: Int
    var clean: Double
    var robust: Double
  }

  var format = "sat-training/1"
  var run: String
  var method: String
  var epochs: Int
  var best: Best?

  init(_ trainer: Trainer) {
    run = trainer.folder.path
    method = trainer.configuration.method
    epochs = trainer.completedEpochs
    best = trainer.bestValidation.map { Best(epoch: $0.epoch, clean: $0.validation.clean, robust: $0.validation.robust) }
  }

  var text: String {
    guard let best else { return "\(run): \(epochs) epochs\n" }
    return "\(run): \(epochs) epochs; best on validation after epoch \(best.epoch + 1): clean \(percent(best.clean, 1)), "
      + "robust \(percent(best.robust, 1))\n"
  }
}
