import Foundation
import SAT

/// The run folder of a small network that was adversarially trained for two epochs, in a temporary folder.
func trainedCheckpoint() throws -> String {
  var configuration = try Presets.configuration(named: "digits", method: "at")
  configuration.model = Architecture(name: "lenet5")
  configuration.epochs = 2
  configuration.attack.steps = 2
  configuration.threat.epsilon = Fraction(0.1)
  configuration.attack.stepSize = Fraction(0.1)
  let path = FileManager.default.temporaryDirectory.appending(path: "hello-sat-\(UUID())").path(percentEncoded: false)
  _ = try Trainer(configuration, dataRoot: DataRoot(), folder: RunFolder(path), resume: false).run(observer: EpochPrinter())
  return path
}

private final class EpochPrinter: TrainingObserver {
  func batchDone(epoch: Int, batch: Int, batches: Int, loss: Double) {}
  func validating(epoch: Int) {}
  func epochDone(_ metrics: EpochMetrics, isBest: Bool) { print("epoch \(metrics.epoch + 1): training loss \(metrics.train.loss)") }
  func warn(_ message: String) { print(message) }
}
