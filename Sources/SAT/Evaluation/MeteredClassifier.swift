internal import SwiftTorch

/// A model that reports the finished fraction of an attack's expected work, and throws after a request to stop.
final class MeteredClassifier: Classifier {
  private let model: any Classifier
  /// The most samples that will pass through the model; 0 if unknown, and then there are no reports.
  private let expected: Int
  /// True if `expected` includes the passes that confirm, as in mode compat.
  private let countsConfirmations: Bool
  private let shouldStop: () -> Bool
  /// Receives the finished fraction, 0…1, which never falls.
  private let report: (Double) -> Void
  private var done = 0
  private(set) var isStopped = false

  init(
    _ model: any Classifier, expected: Int, countsConfirmations: Bool, shouldStop: @escaping () -> Bool,
    report: @escaping (Double) -> Void
  ) {
    self.model = model
    self.expected = expected
    self.countsConfirmations = countsConfirmations
    self.shouldStop = shouldStop
    self.report = report
  }

  var execution: Execution {
    get { model.execution }
    set { model.execution = newValue }
  }

  var isExact: Bool { model.isExact }
  var precision: Execution.Precision { model.precision }

  func logits(_ images: Tensor) throws(TorchError) -> Tensor {
    try stopIfAsked()
    let logits = try model.logits(images)
    count(images)
    return logits
  }

  func confirmedLogits(_ images: Tensor) throws(TorchError) -> Tensor {
    try stopIfAsked()
    let logits = try model.confirmedLogits(images)
    if countsConfirmations { count(images) }
    return logits
  }

  private func stopIfAsked() throws(TorchError) {
    guard shouldStop() else { return }
    isStopped = true
    throw TorchError(.runtime, "the evaluation was asked to stop")
  }

  private func count(_ images: Tensor) {
    done += images.size(0)
    if expected > 0 { report(min(1, Double(done) / Double(expected))) }
  }

  func move(to device: Device) throws(TorchError) { try model.move(to: device) }
}
