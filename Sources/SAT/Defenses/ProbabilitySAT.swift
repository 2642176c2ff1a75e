public import SwiftTorch

/// P-SAT (Algorithm 1; called ATES in the first versions of the paper): adversarial training whose examples stop moving once the
/// gap of probabilities psi_P exceeds lambda, lambda rising over the epochs.
public final class ProbabilitySAT: Defense {
  private let settings: DefenseSettings

  public init(_ settings: DefenseSettings) { self.settings = settings }

  public func lambda(at epoch: Int) -> Double? { settings.lambda.value(at: epoch) }

  public func loss(
    _ network: NetworkClassifier, _ batch: TrainingBatch, generator: Generator
  ) throws(TorchError) -> TrainingLoss {
    let curriculum = ProbabilityGap(lambda: settings.lambda.value(at: batch.epoch))
    return try AdversarialTraining.loss(network, batch, settings.maximizer, curriculum, generator: generator)
  }
}
