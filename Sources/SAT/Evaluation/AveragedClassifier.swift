internal import SwiftTorch

/// A model that draws, judged by its mean answer: whether an image is misclassified is decided by the mean logits of several passes
/// (expectation over transformation, Athalye et al. 2018), so that no single lucky draw counts as a success of the attacker.
final class AveragedClassifier: Classifier {
  /// As many as AutoAttack's version `rand` averages gradients over.
  static let passes = 20

  private let model: any Classifier

  init(_ model: any Classifier) { self.model = model }

  var execution: Execution {
    get { model.execution }
    set { model.execution = newValue }
  }

  /// Never: the passes of the search are other draws.
  var isExact: Bool { false }
  var confirmationPasses: Int { Self.passes * model.confirmationPasses }

  func logits(_ images: Tensor) throws(TorchError) -> Tensor { try model.logits(images) }

  func confirmedLogits(_ images: Tensor) throws(TorchError) -> Tensor {
    var sum = try model.confirmedLogits(images)
    for _ in 1..<Self.passes { sum = sum + (try model.confirmedLogits(images)) }
    return sum / Double(Self.passes)
  }

  func move(to device: Device) throws(TorchError) { try model.move(to: device) }
}
