public import SwiftTorch

/// One batch of training data.
public struct TrainingBatch {
  /// [N, C, H, W] in [0, 1].
  public var images: Tensor
  /// [N], int64.
  public var labels: Tensor
  /// 0-based.
  public var epoch: Int

  public init(images: Tensor, labels: Tensor, epoch: Int) {
    (self.images, self.labels, self.epoch) = (images, labels, epoch)
  }
}

/// What a defense makes of a batch.
public struct TrainingLoss {
  /// The scalar to minimise, with its graph.
  public var loss: Tensor
  /// Logits of the training examples [N, C], outside the graph.
  public var logits: Tensor
  /// Sizes of their perturbations [N], in the threat model's norm.
  public var perturbation: Tensor
  /// Fraction of the batch that was moved, one entry per step of the inner maximisation.
  public var active: [Double]
}

/// A way to train a network against perturbations: which curriculum, which outer loss, which state it keeps across epochs.
///
/// A defense neither prints nor saves nor validates; the trainer does.
public protocol Defense: AnyObject {
  /// Difficulty in force while an epoch (0-based) is trained; nil for a method without one.
  func lambda(at epoch: Int) -> Double?

  /// The loss of a batch.
  ///
  /// Perturbations are made with the network in evaluation mode, and only the perturbed images are seen by it in training
  /// mode, so clean data never touch BatchNorm's running statistics (as in the paper's code).
  /// - Parameter generator: a CPU generator; every draw comes from it.
  func loss(_ network: NetworkClassifier, _ batch: TrainingBatch, generator: Generator) throws(TorchError) -> TrainingLoss
}

/// The numbers a defense is made from.
public struct DefenseSettings: Sendable {
  public var maximizer: InnerMaximizer
  public var lambda: Schedule

  public init(maximizer: InnerMaximizer, lambda: Schedule) { (self.maximizer, self.lambda) = (maximizer, lambda) }
}

/// The methods `sat train --method` knows.
public enum DefenseRegistry {
  public struct Entry: Sendable {
    public let name: String
    /// What it does, in a few words.
    public let summary: String
    public let make: @Sendable (DefenseSettings) -> any Defense
  }

  public static let entries: [Entry] = [
    Entry(name: "at", summary: "adversarial training (Madry et al. 2018)") { AdversarialTraining($0) },
    Entry(name: "p-sat", summary: "probability-based SAT, the paper's Algorithm 1") { ProbabilitySAT($0) },
  ]

  /// - Throws: `SATError` for a name that is not in the registry.
  public static func entry(named name: String) throws(SATError) -> Entry {
    guard let entry = entries.first(where: { $0.name == name }) else {
      throw SATError("method '\(name)' is not known; expected one of \(entries.map(\.name).joined(separator: ", "))")
    }
    return entry
  }
}
