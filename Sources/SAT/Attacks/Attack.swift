public import SwiftTorch

/// How closely an attack follows the reference implementation.
public enum AttackMode: String, Sendable, Codable, CaseIterable {
  /// The same attack for every sample, cheaper: a point leaves as soon as it is broken, restarts and targets share batches, and
  /// every draw depends on the sample alone.
  case fast
  /// The reference's order of work, its random streams and its slips, for comparing with published numbers.
  case compat
}

/// What an attack is given: images the model still classifies correctly.
public struct AttackBatch {
  /// [N, C, H, W] in [0, 1].
  public var images: Tensor
  /// [N], int64.
  public var labels: Tensor
  /// What the counter-based draws of each image are keyed by: the same number whenever and wherever the image is attacked.
  public var samples: [Int]
  /// Logits [N, classes] of the images, computed once by the evaluator.
  public var logits: Tensor
  /// How many points an attack may send through the model at once when several belong to one sample.
  public var capacity: Int

  /// - Parameter capacity: nil for as many as there are images.
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
  /// The class the attack was steering to, where it has one.
  public var target: Int?
  /// Number of the random start, from 0.
  public var restart: Int
  /// Number of the iterate, from 0 for the starting point.
  public var step: Int

  public init(target: Int? = nil, restart: Int, step: Int) {
    self.target = target
    self.restart = restart
    self.step = step
  }
}

/// Where an attack ended.
public struct AttackResult {
  /// [N, C, H, W]: adversarial where one was found, else as the attack left it, inside the ball and the box.
  public var images: Tensor
  /// One entry a sample; nil where it was not broken.
  public var findings: [Finding?]

  public init(images: Tensor, findings: [Finding?]) {
    self.images = images
    self.findings = findings
  }
}

/// Something that looks for misclassified images inside a threat model.
///
/// An attack that users can name also has an `AttackEntry` in its file.
public protocol Attack: AnyObject {
  /// Whether it differentiates the model. Default: true.
  static var needsGradients: Bool { get }

  /// The name reports use, e.g. "pgd".
  var name: String { get }
  var threat: ThreatModel { get }
  /// The values it runs with, for reports. Default: none.
  var parameters: AttackParameters { get }
  /// What all calls so far have cost.
  var cost: AttackCost { get }

  /// Forward passes that it makes of one sample at most, for an estimate of the time left. Default: 0, for an unknown number.
  ///
  /// - Parameter classes: the number of the model's classes.
  func passesPerSample(classes: Int) -> Int

  /// Perturbs a batch.
  ///
  /// A finding means that `Classifier.misclassified` said so of the image that is returned.
  /// - Parameter model: in evaluation mode.
  func perturb(_ model: any Classifier, _ batch: AttackBatch) throws(TorchError) -> AttackResult
}

extension Attack {
  public static var needsGradients: Bool { true }
  public var parameters: AttackParameters { AttackParameters() }
  public func passesPerSample(classes: Int) -> Int { 0 }

  /// How often it runs from each start: once for each class that it steers to, or once away from the label.
  func runsPerStart(targets: Int, classes: Int) -> Int { targets == 0 ? 1 : min(targets, classes - 1) }
}

/// Ends a sample as soon as it is misclassified: what an evaluation wants to know is then known.
public struct UntilMisclassified: Curriculum {
  public init() {}

  public func finished(_ step: InnerStep) -> Tensor? { step.logits.argmax(dim: 1).notEqual(to: step.labels) }
}
