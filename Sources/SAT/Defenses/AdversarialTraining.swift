public import SwiftTorch

/// Adversarial training (AT, Eq. 2-3; Madry et al. 2018): the mean cross-entropy at the last iterate of PGD from a random start.
public final class AdversarialTraining: Defense {
  private let maximizer: InnerMaximizer

  public init(_ settings: DefenseSettings) { maximizer = settings.maximizer }

  public func lambda(at epoch: Int) -> Double? { nil }

  public func loss(
    _ network: NetworkClassifier, _ batch: TrainingBatch, generator: Generator
  ) throws(TorchError) -> TrainingLoss {
    try Self.loss(network, batch, maximizer, FullStrength(), generator: generator)
  }

  /// The mean cross-entropy at the examples a curriculum leads to.
  static func loss(
    _ network: NetworkClassifier, _ batch: TrainingBatch, _ maximizer: InnerMaximizer, _ curriculum: some Curriculum,
    generator: Generator
  ) throws(TorchError) -> TrainingLoss {
    let outcome = try network.withFixedWeights(inputShape: Array(batch.images.shape.dropFirst())) { () throws(TorchError) in
      try maximizer(network, batch.images, batch.labels, curriculum: curriculum, generator: generator)
    }
    let logits = try network.logits(outcome.images)
    return TrainingLoss(
      loss: logits.crossEntropy(batch.labels), logits: logits.detached(),
      perturbation: withNoGrad { maximizer.threat.size(from: batch.images, to: outcome.images) }, active: outcome.active)
  }
}
