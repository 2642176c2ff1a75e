public import SwiftTorch

/// MART (Wang et al. 2020): a boosted cross-entropy on perturbed images plus beta times a weighted divergence of the predictions.
///
/// A sample's loss is CE(x') − log(1.0001 − p'_j + 1e-12) + beta · KL(p ‖ p') · (1.0000001 − p_y), j the likeliest wrong class. The
/// divergence thus counts more for samples that are misclassified when clean.
public final class MART: Defense {
  static let entry = DefenseRegistry.Entry(
    name: "mart", summary: "misclassification-aware training (Wang et al. 2020)",
    options: [
      .number("beta", 5, "weight of the divergence; the official code: 5 for a ResNet-18, 6 for a WideResNet"),
      .choice(
        "start", ["gaussian", "uniform", "none"], "gaussian: noise of 0.001, as published; uniform: in the ball; none: the image"),
    ], adapt: { if $0.network.hasPrefix("wrn") { $0.options.values["beta"] = .number(6) } }
  ) { MART($0) }

  private let maximizer: InnerMaximizer
  private let beta: Double

  public init(_ settings: DefenseSettings) {
    var maximizer = settings.maximizer
    maximizer.start = .named(settings.options.text("start"))
    self.maximizer = maximizer
    beta = settings.options.number("beta")
  }

  public func step(_ batch: TrainingBatch, _ update: WeightUpdate, generator: Generator) throws -> TrainingOutcome {
    let examples = try maximizer.examples(update.network, batch, generator: generator)
    return try update(batch, examples, maximizer.threat) { [beta] network throws(TorchError) in
      let clean = try network.logits(batch.images)
      let perturbed = try network.logits(examples.images)
      return (Self.loss(clean: clean, perturbed: perturbed, batch.labels, beta: beta), perturbed)
    }
  }

  static func loss(clean: Tensor, perturbed: Tensor, _ labels: Tensor, beta: Double) -> Tensor {
    let best = perturbed.softmax(dim: 1).gathered(dim: 1, at: perturbed.largestOtherClass(than: labels))
    let boosted = perturbed.crossEntropy(labels) - ((1.0001 + 1e-12) - best).log().mean()
    let target = clean.logSoftmax(dim: 1)
    let divergence = perturbed.logSoftmax(dim: 1).klDivergence(from: target, reduction: .none, logTarget: true).sum(dim: 1)
    let own = target.entries(at: labels).exp()
    return boosted + beta * (divergence * (1.0000001 - own)).mean()
  }
}
