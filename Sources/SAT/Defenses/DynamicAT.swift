public import SwiftTorch

/// DAT, dynamic adversarial training (Wang et al. 2019): an example stops moving once it has converged well enough.
///
/// The threshold of convergence falls from 0.5 to 0 over the epochs. Lambda is minus the threshold, as in Table 4 of the SAT paper.
public final class DynamicAT: Defense {
  static let entry = DefenseRegistry.Entry(
    name: "dat", summary: "dynamic adversarial training, by convergence (Wang et al. 2019)", usesLambda: true,
    lambdaRange: -Limit.number.upperBound...0,
    options: [
      .choice("displacement", ["clean", "start"], "where the perturbation of the criterion counts from; the official code: start"),
      .flag("firstStep", false, "whether the first step is always taken; the official code: true"),
      .flag("weighting", false, "whether each loss is weighted by its own value from epoch 1 on; the official code: true"),
    ],
    adapt: { settings in
      // Appendix A: epochs until the threshold is 0. It is 0.5 · (1 − t/T) in epoch t, which the linear schedule, whose increments come
      // before the epoch, says as 1 … T + 1.
      let decay =
        switch settings.data {
        case "mnist": 30
        case "digits": 6
        case "imagenette": 40
        // At 16/255 and 24/255.
        case "cifar10" where settings.epsilon * 255 > 9: 50
        default: 80
        }
      settings.lambda = .linear(initial: -0.5, final: 0, start: 1, end: decay + 1)
    }
  ) { DynamicAT($0) }

  private let settings: DefenseSettings
  private let displacement: FirstOrderConvergence.Displacement

  public init(_ settings: DefenseSettings) {
    self.settings = settings
    displacement = .init(rawValue: settings.options.text("displacement")) ?? .clean
  }

  public func lambda(at epoch: Int) -> Double? { settings.lambda.value(at: epoch) }

  public func step(_ batch: TrainingBatch, _ update: WeightUpdate, generator: Generator) throws -> TrainingOutcome {
    let maximizer = settings.maximizer
    let curriculum = FirstOrderConvergence(
      maximizer.threat, threshold: -settings.lambda.value(at: batch.epoch), displacement: displacement,
      alwaysSteps: settings.options.flag("firstStep"))
    let examples = try maximizer.examples(update.network, batch, curriculum, generator: generator)
    guard settings.options.flag("weighting"), batch.epoch >= 1 else {
      return try update.crossEntropy(batch, examples, maximizer.threat)
    }
    return try update(batch, examples, maximizer.threat) { network throws(TorchError) in
      let logits = try network.logits(examples.images)
      let losses = logits.crossEntropy(batch.labels, reduction: .none)
      return ((losses * losses.detached()).mean(), logits)
    }
  }
}
