public import SwiftTorch

/// Measures a model's accuracy on images as they are and under attacks, the worst case over the attacks.
///
/// Every attack starts from the original images of the samples that are still classified correctly, in blocks of the batch size.
/// For a model with random draws, votes decide in mode `fast` (`AveragedClassifier`); in `compat` one pass decides, as in the
/// reference.
public struct Evaluator {
  let model: any Classifier
  let data: ImageDataset
  let batchSize: Int
  let device: Device
  let layout: MemoryFormat

  /// - Parameter model: in evaluation mode, on `device`.
  public init(model: any Classifier, data: ImageDataset, batchSize: Int, device: Device, layout: MemoryFormat) {
    self.model = model
    self.data = data
    self.batchSize = batchSize
    self.device = device
    self.layout = layout
  }

  /// Runs attacks one after the other, without the questions of `SanityChecks`.
  ///
  /// - Throws: what the model throws.
  public func run(_ attacks: [any Attack]) throws -> Evaluation {
    try run(EvaluationPlan(attacks, checks: false))
  }

  /// Runs a plan.
  ///
  /// - Parameters:
  ///   - adversarial: collects the broken images.
  ///   - store: keeps the state. A killed run that starts again goes on from there and ends with the same flags.
  ///   - shouldStop: asked before every pass of a batch through the model; true saves the batches that are done and ends the run.
  /// - Throws: what the model throws, `TorchError` when the state cannot be saved, `JobStopped` when it was asked to stop.
  public func run(
    _ plan: EvaluationPlan, adversarial: AdversarialImages? = nil, store: EvaluationStore? = nil,
    progress: @escaping (EvaluationProgress) -> Void = { _ in }, shouldStop: @escaping () -> Bool = { false }
  ) throws -> Evaluation {
    try EvaluationRun(self, plan, adversarial: adversarial, store: store, progress: progress, shouldStop: shouldStop).result()
  }
}
