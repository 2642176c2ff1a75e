public import SwiftTorch

/// DAT, dynamic adversarial training (Wang et al. 2019): a sample finishes once its convergence criterion falls below a threshold.
///
/// The threshold falls from 0.5 to 0 over the epochs. Lambda is minus the threshold, as in Table 4 of the SAT paper.
public final class DynamicAT: Defense {
  static let entry = DefenseRegistry.Entry(
    name: "dat", summary: "dynamic adversarial training, by convergence (Wang et al. 2019)", usesLambda: true,
    lambdaText: { "threshold \(decimal(-$0, 2))" }, lambdaRange: -Limit.number.upperBound...0,
    options: [
      .choice("displacement", ["clean", "start"], "point from which the criterion measures; the official code: start"),
      .flag("firstStep", false, "true: every sample takes the first step; the official code: true"),
      .flag("weighting", false, "true: from epoch 1 on, each loss is weighted by its own value; the official code: true"),
    ],
    adapt: { settings in
      // The number T of epochs until the threshold is 0, from Appendix A. Epoch t has the threshold 0.5 · (1 − t/T). The linear
      // schedule adds its increment before an epoch, so it runs from 1 to T + 1.
      let decay =
        switch settings.data {
        case "mnist": 30
        case "digits": 6
        case "imagenette": 40
        // The paper's epsilons 16/255 and 24/255.
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
