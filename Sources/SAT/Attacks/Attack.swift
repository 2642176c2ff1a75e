public import SwiftTorch

/// Passes through a model, counted in samples.
public struct AttackCost: Sendable, Equatable {
  public var forward = 0
  public var backward = 0

  static func += (a: inout AttackCost, b: AttackCost) {
    a.forward += b.forward
    a.backward += b.backward
  }
}

/// Something that looks for misclassified images inside a threat model.
public protocol Attack: AnyObject {
  /// The name reports use, e.g. "pgd".
  var name: String { get }
  var threat: ThreatModel { get }
  /// What all calls so far have cost.
  var cost: AttackCost { get }

  /// Perturbs a batch; an image that was not broken comes back as the attack left it, inside the ball and the box.
  ///
  /// Batches come in data order; the draws do not depend on how the data are cut into batches.
  /// - Parameters:
  ///   - model: in evaluation mode.
  ///   - images: [N, C, H, W] in [0, 1], all classified correctly.
  ///   - labels: [N], int64.
  func perturb(_ model: any Classifier, _ images: Tensor, _ labels: Tensor) throws(TorchError) -> Tensor
}

/// Ends a sample as soon as it is misclassified: what an evaluation wants to know is then known.
public struct UntilMisclassified: Curriculum {
  public init() {}

  public func finished(_ step: InnerStep) -> Tensor? { step.logits.argmax(dim: 1).notEqual(to: step.labels) }
}
