public import SwiftTorch

/// How a training loss becomes an update of the weights: gradient, whatever the trainer does with it, optimizer; with adversarial
/// weight perturbation around it where that is asked for. Every defense updates through this, so all of them can be combined
/// with it.
public final class WeightUpdate {
  public let network: NetworkClassifier
  public let optimizer: any Optimizer
  /// Nil for none.
  public let perturbation: AdversarialWeightPerturbation?
  /// Called between the backward pass and the optimizer's step: reads the gradients, or clips them. Throwing leaves the weights as
  /// they were.
  public var beforeStep: () throws -> Void = {}

  public init(_ network: NetworkClassifier, _ optimizer: any Optimizer, perturbation: AdversarialWeightPerturbation? = nil) {
    self.network = network
    self.optimizer = optimizer
    self.perturbation = perturbation
  }

  /// The loss to minimise, a scalar with its graph, and the logits [N, C] of the training examples.
  public typealias Objective = (loss: Tensor, logits: Tensor)

  /// Updates the weights once.
  ///
  /// - Parameter objective: evaluates a network in its current mode, which is that of training; called again for a perturbation of
  ///   the weights, so it draws nothing.
  /// - Returns: the loss before the update and the logits it came from.
  @discardableResult
  public func callAsFunction(
    epoch: Int, _ objective: (NetworkClassifier) throws(TorchError) -> Objective
  ) throws -> (loss: Double, logits: Tensor) {
    let displacement = try perturbation?.displacement(of: network, epoch: epoch, objective)
    displacement?.apply()
    do {
      let evaluation = try objective(network)
      let loss = evaluation.loss.item()
      guard loss.isFinite else { throw SATError.notFinite("training loss", loss, epoch) }
      optimizer.clearGradients()
      evaluation.loss.backward()
      try beforeStep()
      optimizer.step()
      displacement?.undo()
      return (loss, evaluation.logits.detached())
    } catch {
      displacement?.undo()
      throw error
    }
  }

  /// Updates the weights by an objective of perturbed images.
  func callAsFunction(
    _ batch: TrainingBatch, _ examples: InnerMaximizer.Outcome, _ threat: ThreatModel,
    _ objective: (NetworkClassifier) throws(TorchError) -> Objective
  ) throws -> TrainingOutcome {
    let (loss, logits) = try self(epoch: batch.epoch, objective)
    return TrainingOutcome(
      loss: loss, logits: logits, perturbation: withNoGrad { threat.size(from: batch.images, to: examples.images) },
      active: examples.active)
  }

  /// Updates the weights by the mean cross-entropy of perturbed images, as AT does.
  func crossEntropy(
    _ batch: TrainingBatch, _ examples: InnerMaximizer.Outcome, _ threat: ThreatModel
  ) throws -> TrainingOutcome {
    try self(batch, examples, threat) { network throws(TorchError) in
      let logits = try network.logits(examples.images)
      return (logits.crossEntropy(batch.labels), logits)
    }
  }
}

extension SATError {
  /// Training that has gone out of the range of its numbers.
  static func notFinite(_ what: String, _ value: Double, _ epoch: Int) -> SATError {
    SATError(
      "the \(what) became \(value) in epoch \(epoch); what was saved before is kept, so train again with a lower "
        + "optimizer.learningRate, with optimizer.maxGradientNorm=1, or in --precision fp32 if that was bf16")
  }
}

extension InnerMaximizer {
  /// Perturbs a training batch, in evaluation mode.
  func examples(
    _ network: NetworkClassifier, _ batch: TrainingBatch, _ curriculum: some Curriculum = FullStrength(),
    loss: InnerLoss = .crossEntropy, generator: Generator
  ) throws(TorchError) -> Outcome {
    try network.withPreparedWeights(for: batch.images) { () throws(TorchError) in
      try self(network, batch.images, batch.labels, curriculum: curriculum, loss: loss, generator: generator)
    }
  }
}
