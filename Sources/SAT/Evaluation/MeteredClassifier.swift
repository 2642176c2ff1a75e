internal import SwiftTorch

/// A model that reports how much of an attack's expected work it has done, and refuses more once it is asked to stop.
final class MeteredClassifier: Classifier {
  private let model: any Classifier
  private let expected: Int
  private let shouldStop: () -> Bool
  private let report: (Double) -> Void
  private var done = 0
  private(set) var isStopped = false

  /// - Parameters:
  ///   - expected: samples that will pass through the model at most; 0 where nobody knows, and then nothing is reported.
  ///   - shouldStop: asked before every pass.
  ///   - report: hears of fractions 0…1, growing.
  init(_ model: any Classifier, expected: Int, shouldStop: @escaping () -> Bool, report: @escaping (Double) -> Void) {
    (self.model, self.expected, self.shouldStop, self.report) = (model, expected, shouldStop, report)
  }

  var execution: Execution {
    get { model.execution }
    set { model.execution = newValue }
  }

  var isExact: Bool { model.isExact }
  var confirmationPasses: Int { model.confirmationPasses }

  func logits(_ images: Tensor) throws(TorchError) -> Tensor {
    try stopIfAsked()
    let logits = try model.logits(images)
    count(images)
    return logits
  }

  /// Counted as well, since attacks in mode `compat` ask nothing else; those few in mode `fast` do not matter.
  func confirmedLogits(_ images: Tensor) throws(TorchError) -> Tensor {
    try stopIfAsked()
    let logits = try model.confirmedLogits(images)
    count(images)
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
