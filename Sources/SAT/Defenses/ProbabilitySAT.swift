public import SwiftTorch

/// P-SAT (Algorithm 1): adversarial training in which a sample finishes once its probability gap psi_P exceeds lambda.
///
/// Lambda rises over the epochs. The first versions of the paper call the method ATES.
public final class ProbabilitySAT: Defense {
  static let entry = DefenseRegistry.Entry(
    name: "p-sat", summary: "probability-based SAT, the paper's Algorithm 1", usesLambda: true
  ) { ProbabilitySAT($0) }

  private let settings: DefenseSettings

  public init(_ settings: DefenseSettings) { self.settings = settings }

  public func lambda(at epoch: Int) -> Double? { settings.lambda.value(at: epoch) }

  public func step(_ batch: TrainingBatch, _ update: WeightUpdate, generator: Generator) throws -> TrainingOutcome {
    let curriculum = ProbabilityGap(lambda: settings.lambda.value(at: batch.epoch))
    let examples = try settings.maximizer.examples(update.network, batch, curriculum, generator: generator)
    return try update.crossEntropy(batch, examples, settings.maximizer.threat)
  }
}
