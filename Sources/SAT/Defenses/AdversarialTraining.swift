public import SwiftTorch

/// Adversarial training (AT, Eq. 2-3; Madry et al. 2018): the mean cross-entropy at PGD's last iterate, from a random start.
public final class AdversarialTraining: Defense {
  static let entry = DefenseRegistry.Entry(name: "at", summary: "adversarial training (Madry et al. 2018)") {
    AdversarialTraining($0)
  }

  private let maximizer: InnerMaximizer

  public init(_ settings: DefenseSettings) { maximizer = settings.maximizer }

  public func step(_ batch: TrainingBatch, _ update: WeightUpdate, generator: Generator) throws -> TrainingOutcome {
    let examples = try maximizer.examples(update.network, batch, generator: generator)
    return try update.crossEntropy(batch, examples, maximizer.threat)
  }
}
