public import SwiftTorch

/// One update of the weights from a training loss: the backward pass, the trainer's hook, and the optimizer's step.
///
/// Every defense updates through this class, so every defense can be combined with adversarial weight perturbation.
public final class WeightUpdate {
  public let network: NetworkClassifier
  public let optimizer: any Optimizer
  /// The adversarial weight perturbation; nil for none.
  public let perturbation: AdversarialWeightPerturbation?
  /// A hook between the backward pass and the optimizer's step, which may read or clip the gradients; if it throws, the weights
  /// stay unchanged.
  public var beforeStep: () throws -> Void = {}

  public init(_ network: NetworkClassifier, _ optimizer: any Optimizer, perturbation: AdversarialWeightPerturbation? = nil) {
    self.network = network
    self.optimizer = optimizer
    self.perturbation = perturbation
  }

  /// The loss to minimise, a scalar with its graph, and the logits [N, C] of the training examples.
  public typealias Objective = (loss: Tensor, logits: Tensor)

  /// Updates the weights once, in a 0-based epoch, and returns the loss before the update and its logits.
  ///
  /// The objective evaluates the network in training mode. A perturbation of the weights calls it twice, so it draws nothing.
  @discardableResult
  public func callAsFunction(
    epoch: Int, _ objective: (NetworkClassifier) throws(TorchError) -> Objective
  ) throws -> (loss: Double, logits: Tensor) {
    let displacement = try perturbation?.displacement(of: network, epoch: epoch, objective)
    displacement?.apply()
    defer { displacement?.undo() }
    let evaluation = try objective(network)
    let loss = evaluation.loss.item()
    guard loss.isFinite else { throw SATError.notFinite("training loss", loss, epoch) }
    optimizer.clearGradients()
    evaluation.loss.backward()
    try beforeStep()
    optimizer.step()
    return (loss, evaluation.logits.detached())
  }

  /// Updates the weights by an objective on perturbed images.
  func callAsFunction(
    _ batch: TrainingBatch, _ examples: InnerMaximizer.Outcome, _ threat: ThreatModel,
    _ objective: (NetworkClassifier) throws(TorchError) -> Objective
  ) throws -> TrainingOutcome {
    let (loss, logits) = try self(epoch: batch.epoch, objective)
    return TrainingOutcome(
      loss: loss, logits: logits, perturbation: withNoGrad { threat.size(from: batch.images, to: examples.images) },
      active: examples.active)
  }

  /// Updates the weights by the mean cross-entropy on perturbed images, as AT does.
  func crossEntropy(_ batch: TrainingBatch, _ examples: InnerMaximizer.Outcome, _ threat: ThreatModel) throws -> TrainingOutcome {
    try self(batch, examples, threat) { network throws(TorchError) in
      let logits = try network.logits(examples.images)
      return (logits.crossEntropy(batch.labels), logits)
    }
  }
}

extension SATError {
  /// The error for a training quantity that became NaN or infinite.
  static func notFinite(_ what: String, _ value: Double, _ epoch: Int) -> SATError {
    SATError(
      "the \(what) became \(value) in epoch \(epoch + 1); earlier checkpoints are kept, so train again with a lower "
        + "optimizer.learningRate, with optimizer.maxGradientNorm=1, or in --precision fp32 if that was bf16")
  }
}

extension InnerMaximizer {
  /// Perturbs a training batch in evaluation mode.
  func examples(
    _ network: NetworkClassifier, _ batch: TrainingBatch, _ curriculum: some Curriculum = FullStrength(),
    loss: InnerLoss = .crossEntropy, generator: Generator
  ) throws(TorchError) -> Outcome {
    try network.withPreparedWeights(for: batch.images) { () throws(TorchError) in
      try self(network, batch.images, batch.labels, curriculum: curriculum, loss: loss, generator: generator)
    }
  }
}
