public import SwiftTorch

/// TRADES (Zhang et al. 2019): cross-entropy on clean images plus beta times the divergence between the predictions for clean and
/// perturbed ones, which the perturbation maximises.
///
/// The divergence is KL(p(x) ‖ p(x')), computed from log-probabilities on both sides: with probabilities as its target, its gradient is
/// NaN where one is 0. Both images pass through the network in training mode, the clean ones first and once (the official code
/// passes them twice, which changes nothing but BatchNorm's running statistics).
public final class TRADES: Defense {
  static let entry = DefenseRegistry.Entry(
    name: "trades", summary: "clean loss plus divergence (Zhang et al. 2019)",
    options: [
      .number("beta", 6, "weight of the divergence; 6 in the SAT paper"),
      .choice(
        "kl", ["batchmean", "element-mean"],
        "what the divergence is divided by: the batch, or also the classes as in the SAT authors' code"),
      .choice("start", ["gaussian", "uniform"], "noise of 0.001 as published, or the ball's random start as in the SAT authors' code"),
    ]
  ) { TRADES($0) }

  private let maximizer: InnerMaximizer
  private let beta: Double
  private let isElementMean: Bool

  public init(_ settings: DefenseSettings) {
    var maximizer = settings.maximizer
    maximizer.start = .named(settings.options.text("start"))
    self.maximizer = maximizer
    beta = settings.options.number("beta")
    isElementMean = settings.options.text("kl") == "element-mean"
  }

  public func step(_ batch: TrainingBatch, _ update: WeightUpdate, generator: Generator) throws -> TrainingOutcome {
    let examples = try examples(update.network, batch, generator: generator)
    return try update(batch, examples, maximizer.threat) { [beta, isElementMean] network throws(TorchError) in
      let clean = try network.logits(batch.images)
      let perturbed = try network.logits(examples.images)
      let divergence = Self.divergence(clean.logSoftmax(dim: 1), perturbed) / (isElementMean ? clean.count : clean.size(0))
      return (clean.crossEntropy(batch.labels) + beta * divergence, perturbed)
    }
  }

  private func examples(
    _ network: NetworkClassifier, _ batch: TrainingBatch, generator: Generator
  ) throws(TorchError) -> InnerMaximizer.Outcome {
    try network.withPreparedWeights(for: batch.images) { () throws(TorchError) in
      let target = try withNoGrad { () throws(TorchError) in try network.logits(batch.images).logSoftmax(dim: 1) }
      let loss = InnerLoss { logits, samples in Self.divergence(samples.rows(of: target), logits) }
      return try maximizer(network, batch.images, batch.labels, curriculum: FullStrength(), loss: loss, generator: generator)
    }
  }

  /// Σ KL(exp(target) ‖ softmax(logits)) of log-probabilities and logits [n, C].
  static func divergence(_ target: Tensor, _ logits: Tensor) -> Tensor {
    logits.logSoftmax(dim: 1).klDivergence(from: target, reduction: .sum, logTarget: true)
  }
}

extension InnerMaximizer.Start {
  /// "gaussian" (0.001), "uniform" or "none", as the methods' options call them.
  static func named(_ name: String) -> InnerMaximizer.Start {
    switch name {
    case "gaussian": .gaussian(0.001)
    case "none": .clean
    default: .random
    }
  }
}
