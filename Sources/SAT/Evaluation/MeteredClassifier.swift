internal import SwiftTorch

/// A model that reports the finished fraction of an attack's expected work, and throws after a request to stop.
final class MeteredClassifier: Classifier {
  private let model: any Classifier
  /// The most samples that may still pass through the model; nil if unknown, and then there are no reports.
  private var left: Double?
  /// The samples that are not broken.
  private var open: Int
  /// True if `left` includes the passes that confirm, as in mode compat.
  private let countsConfirmations: Bool
  private let shouldStop: () -> Bool
  /// Receives the finished fraction, 0…1, which never falls.
  private let report: (Double) -> Void
  private var done = 0
  private(set) var isStopped = false

  init(
    _ model: any Classifier, samples: Int, passesPerSample: Int, countsConfirmations: Bool, shouldStop: @escaping () -> Bool,
    report: @escaping (Double) -> Void
  ) {
    self.model = model
    left = passesPerSample > 0 ? Double(samples * passesPerSample) : nil
    open = samples
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
    guard let left else { return }
    let rest = max(0, left - Double(images.size(0)))
    self.left = rest
    report(Double(done) / (Double(done) + rest))
  }

  /// Takes the passes of broken samples, which cost no more, off the work that is left.
  func broke(_ count: Int) {
    guard let left, open > 0 else { return }
    self.left = left * Double(max(0, open - count)) / Double(open)
    open = max(0, open - count)
  }

  func move(to device: Device) throws(TorchError) { try model.move(to: device) }
}
