public import SwiftTorch

/// How closely an attack follows the reference implementation.
public enum AttackMode: String, Sendable, Codable, CaseIterable {
  /// Cheaper: a sample leaves once it is broken, restarts and targets share batches, and each draw depends only on the sample.
  case fast
  /// The reference's order, random draws and errors, to compare with published numbers.
  case compat
}

/// The input of an attack: images that the model still classifies correctly.
public struct AttackBatch {
  /// [N, C, H, W] in [0, 1].
  public var images: Tensor
  /// [N], int64.
  public var labels: Tensor
  /// The key of each image's counter-based draws; it depends only on the image.
  public var samples: [Int]
  /// Logits [N, classes] of the images, computed once by the evaluator.
  public var logits: Tensor
  /// The most points that an attack may send through the model at once if a sample has several points.
  public var capacity: Int
  /// Called with the number of samples that the attack has just broken, for an estimate of the remaining time.
  var onBroken: (Int) -> Void = { _ in }

  /// Makes a batch. A nil `capacity` means the number of images.
  public init(images: Tensor, labels: Tensor, samples: [Int], logits: Tensor, capacity: Int? = nil) {
    precondition(samples.count == labels.count, "AttackBatch: \(samples.count) samples and \(labels.count) labels")
    self.images = images
    self.labels = labels
    self.samples = samples
    self.logits = logits
    self.capacity = capacity ?? samples.count
  }

  public var count: Int { samples.count }
}

/// How a sample was broken.
public struct Finding: Sendable, Codable, Equatable {
  /// The target class; nil for an untargeted attack.
  public var target: Int?
  /// The number of the random start, from 0.
  public var restart: Int
  /// The number of the iterate; 0 is the starting point.
  public var step: Int

  public init(target: Int? = nil, restart: Int, step: Int) {
    self.target = target
    self.restart = restart
    self.step = step
  }
}

/// The result of an attack on a batch.
public struct AttackResult {
  /// [N, C, H, W]: the adversarial image if the attack found one, else its last image. All lie inside the ball and the box.
  public var images: Tensor
  /// One entry per sample; nil if the attack did not break it.
  public var findings: [Finding?]

  public init(images: Tensor, findings: [Finding?]) {
    self.images = images
    self.findings = findings
  }
}

/// An algorithm that searches for misclassified images inside a threat model. If users can name it, its file has an `AttackEntry`.
public protocol Attack: AnyObject {
  /// True if the attack differentiates the model. Default: true.
  static var needsGradients: Bool { get }

  /// The name in reports, such as "pgd".
  var name: String { get }
  var threat: ThreatModel { get }
  /// The attack's parameters, for reports. Default: none.
  var parameters: AttackParameters { get }
  /// A choice that changes the result and is not in `parameters`, such as "in three radii"; nil for none. Default: nil.
  ///
  /// A saved state names it, so that an attack with another choice does not continue from that state.
  var variant: String? { get }
  /// The cost of all calls so far.
  var cost: AttackCost { get }

  /// Returns the most forward passes for one sample, for an estimate of the remaining time. Default: 0, for an unknown number.
  func passesPerSample(classes: Int) -> Int

  /// Perturbs a batch. The model is in evaluation mode.
  ///
  /// For each finding, `Classifier.misclassified` has confirmed that the model misclassifies the returned image.
  func perturb(_ model: any Classifier, _ batch: AttackBatch) throws(TorchError) -> AttackResult
}

extension Attack {
  public static var needsGradients: Bool { true }
  public var parameters: AttackParameters { AttackParameters() }
  public var variant: String? { nil }
  public func passesPerSample(classes: Int) -> Int { 0 }

  /// Returns the number of runs per start: one per target class, or one for an untargeted attack.
  func runsPerStart(targets: Int, classes: Int) -> Int { targets == 0 ? 1 : min(targets, classes - 1) }
}

/// Finishes a sample as soon as it is misclassified, because an evaluation needs no more.
public struct UntilMisclassified: Curriculum {
  public init() {}

  public func finished(_ step: InnerStep) -> Tensor? { step.logits.misclassifies(step.labels) }
}
