public import SwiftTorch

/// TRADES (Zhang et al. 2019): cross-entropy on clean images plus beta times the divergence of clean and perturbed predictions.
///
/// The attack maximises KL(p(x) ‖ p(x')). Both sides are log-probabilities, because a probability of 0 in the target gives a NaN
/// gradient. In training mode the network sees the clean images once, then the perturbed ones. The official code passes the clean
/// images twice; this affects only BatchNorm's running statistics.
public final class TRADES: Defense {
  static let entry = DefenseRegistry.Entry(
    name: "trades", summary: "clean loss plus divergence (Zhang et al. 2019)",
    options: [
      .number("beta", 6, "weight of the divergence; 6 in the SAT paper"),
      .choice(
        "kl", ["batchmean", "element-mean"],
        "divisor of the divergence; batchmean: the batch, element-mean: also the classes, as in the SAT authors' code"),
      .choice(
        "start", ["gaussian", "uniform"],
        "gaussian: noise of 0.001, as published; uniform: in the ball, as in the SAT authors' code"),
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
    let network = update.network
    let examples = try network.withPreparedWeights(for: batch.images) { () throws(TorchError) in
      let target = try withNoGrad { () throws(TorchError) in try network.logits(batch.images).logSoftmax(dim: 1) }
      let loss = InnerLoss { logits, samples in Self.divergence(samples.rows(of: target), logits) }
      return try maximizer(network, batch.images, batch.labels, curriculum: FullStrength(), loss: loss, generator: generator)
    }
    return try update(batch, examples, maximizer.threat) { [beta, isElementMean] network throws(TorchError) in
      let clean = try network.logits(batch.images)
      let perturbed = try network.logits(examples.images)
      let divergence = Self.divergence(clean.logSoftmax(dim: 1), perturbed) / (isElementMean ? clean.count : clean.size(0))
      return (clean.crossEntropy(batch.labels) + beta * divergence, perturbed)
    }
  }

  /// Returns Σ KL(exp(target) ‖ softmax(logits)) for log-probabilities `target` and logits, both [n, C].
  static func divergence(_ target: Tensor, _ logits: Tensor) -> Tensor {
    logits.logSoftmax(dim: 1).klDivergence(from: target, reduction: .sum, logTarget: true)
  }
}

extension InnerMaximizer.Start {
  /// Returns the start for a word of the methods' options: "gaussian" (0.001), "uniform" or "none".
  static func named(_ name: String) -> InnerMaximizer.Start {
    switch name {
    case "gaussian": .gaussian(0.001)
    case "none": .clean
    default: .random
    }
  }
}
