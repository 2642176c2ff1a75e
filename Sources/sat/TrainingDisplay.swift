import Foundation
import SAT
import SwiftTorch

/// Shows a training run on standard error.
final class TrainingDisplay: TrainingObserver {
  private let trainer: Trainer
  private let terminal = Terminal.standardError
  private let start = ContinuousClock.now
  private let firstEpoch: Int
  private var pace: TrainingPace
  /// The finished fraction of the rest of the run.
  private var fraction = 0.0
  private var lastBatchEnd = ContinuousClock.now

  init(_ trainer: Trainer) {
    self.trainer = trainer
    firstEpoch = trainer.completedEpochs
    let settings = trainer.configuration
    pace = TrainingPace(epochs: settings.epochs, lambda: settings.lambda, steps: settings.attack.steps)
    let (threat, attack, averaging) = (settings.threat, settings.attack, settings.averaging)
    terminal.line(
      "\(settings.method) on \(settings.data): \(trainer.trainSet.count) training images, "
        + "\(trainer.validationSet.count) validation images; \(settings.model.name), "
        + "\(threat.norm.rawValue) epsilon \(threat.epsilon), \(attack.steps) step\(attack.steps == 1 ? "" : "s") of "
        + "\(attack.stepSize)\(Self.scope(settings)); "
        + "run folder \(trainer.folder.path)")
    for note in trainer.trainSet.notes { terminal.line("\(settings.data): \(note)") }
    if averaging.kind != .none {
      terminal.line("best and last hold weights averaged (\(averaging.kind.rawValue)) from epoch \(averaging.start + 1) on")
    }
    if let position { terminal.line("resuming after \(position)") }
  }

  /// Says that `attack` sets only the PGD of validation, if the method brings its own steps.
  private static func scope(_ settings: TrainingConfiguration) -> String {
    let usesAttack = (try? DefenseRegistry.entry(named: settings.method))?.usesAttack ?? true
    return usesAttack ? "" : " in validation (\(settings.method) has its own attack for training)"
  }

  /// The method's lambda by the method's own word.
  private func lambdaText(_ lambda: Double) -> String {
    let entry = try? DefenseRegistry.entry(named: trainer.configuration.method)
    return entry?.lambdaText(lambda) ?? "lambda \(decimal(lambda, 2))"
  }

  /// The part of the run that is done; nil before its first step.
  private var position: String? {
    let (epochs, batches) = (trainer.completedEpochs, trainer.completedBatches)
    if trainer.isAwaitingValidation { return "epoch \(epochs + 1), before its validation" }
    if batches > 0 { return "\(batches) batch\(batches == 1 ? "" : "es") of epoch \(epochs + 1)" }
    return epochs > 0 ? "\(epochs) epoch\(epochs == 1 ? "" : "s")" : nil
  }

  /// A sentence about the work that an interrupted run has saved.
  var savedText: String {
    guard let position else { return trainer.folder.keptText }
    return "the run is saved up to \(position); continue it with `sat train --run \(trainer.folder.path) --resume`"
  }

  func batchDone(epoch: Int, batch: Int, batches: Int, loss: Double) {
    let epochs = trainer.configuration.epochs
    lastBatchEnd = .now
    fraction = (Double(epoch - firstEpoch) + Double(batch + 1) / Double(batches)) / Double(epochs - firstEpoch)
    pace.batchDone(
      epoch: epoch, batch: batch, of: batches, active: trainer.activeSteps, at: (lastBatchEnd - start) / .seconds(1))
    terminal.progress(
      "epoch \(epoch + 1)/\(epochs)", fraction: fraction, since: start, left: pace.left, detail: "loss \(decimal(loss, 3))")
  }

  /// Shows the progress inside a step, if the step is long.
  func progressed(_ part: String, epoch: Int, to partFraction: Double) {
    guard ContinuousClock.now - lastBatchEnd > .seconds(1) else { return }
    terminal.progress(
      "epoch \(epoch + 1)/\(trainer.configuration.epochs)", fraction: fraction, since: start, left: pace.left,
      detail: "\(part): \(Int(100 * partFraction)) %")
  }

  func validating(epoch: Int) {}

  func epochDone(_ metrics: EpochMetrics, isBest: Bool) {
    var parts = ["epoch \(metrics.epoch + 1)/\(trainer.configuration.epochs)"]
    if let lambda = metrics.lambda { parts.append(lambdaText(lambda)) }
    parts.append("loss \(decimal(metrics.train.loss, 3))")
    if let validation = metrics.validation {
      parts.append("clean \(percent(validation.clean, 1))")
      parts.append("robust \(percent(validation.robust, 1))\(isBest ? " (best)" : "")")
    }
    if let active = metrics.active {
      parts.append("moved \(percent(active.reduce(0, +) / Double(max(active.count, 1)), 1)) a step")
    }
    parts.append("\(decimal(metrics.seconds, 1)) s")
    if let waited = metrics.dataSeconds, waited > 0.05 * metrics.seconds { parts.append("waited \(decimal(waited, 1)) s for data") }
    terminal.line(parts.joined(separator: "   "))
  }

  func warn(_ message: String) { terminal.warn(message) }
}

extension RunFolder {
  /// A sentence about the work that is saved after the program ended in the middle of a step.
  var keptText: String {
    guard exists else { return "nothing was saved yet; the same command starts again" }
    let command = "`sat train --run \(path) --resume`"
    return hasLastCheckpoint
      ? "\(command) goes on from the last checkpoint" : "no checkpoint was saved yet, so \(command) starts again"
  }
}

/// The result of a finished run.
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

  private var epochText: String { epochs == 1 ? "1 epoch" : "\(epochs) epochs" }

  var text: String {
    guard let best else { return "\(run): \(epochText)\n" }
    return "\(run): \(epochText); best on validation after epoch \(best.epoch + 1): clean \(percent(best.clean, 1)), "
      + "robust \(percent(best.robust, 1))\n"
  }
}
