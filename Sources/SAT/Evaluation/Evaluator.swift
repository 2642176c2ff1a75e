public import SwiftTorch

/// Measures a model's accuracy on clean images and in the worst case over attacks.
///
/// Every attack starts from the clean images of the open samples, in groups of at most the batch size. For a random model, votes
/// decide in mode `fast` (`AveragedClassifier`). In `compat` one pass decides, as in the reference.
public struct Evaluator {
  let model: any Classifier
  let data: ImageDataset
  let batchSize: Int
  let device: Device
  let layout: MemoryFormat

  /// Makes an evaluator of a model in evaluation mode on `device`.
  public init(model: any Classifier, data: ImageDataset, batchSize: Int, device: Device, layout: MemoryFormat) {
    self.model = model
    self.data = data
    self.batchSize = batchSize
    self.device = device
    self.layout = layout
  }

  /// Runs attacks one after the other, without `SanityChecks`.
  ///
  /// - Throws: Any error of the model.
  public func run(_ attacks: [any Attack]) throws -> Evaluation { try run(EvaluationPlan(attacks, checks: false)) }

  /// Runs a plan, and collects the broken images in `adversarial`.
  ///
  /// `seed` sets libtorch's own generators, which TorchScript archives draw from; nil leaves the generators alone.
  /// The store saves the state. A killed evaluation continues from it and gives the same flags. The run calls `shouldStop` before
  /// every pass of a batch through the model; true saves the finished batches and ends the work.
  /// - Throws: Any error of the model, `TorchError` if the state cannot be saved, `JobStopped` if `shouldStop` returned true.
  public func run(
    _ plan: EvaluationPlan, seed: UInt64? = nil, adversarial: AdversarialImages? = nil, store: EvaluationStore? = nil,
    progress: @escaping (EvaluationProgress) -> Void = { _ in }, shouldStop: @escaping () -> Bool = { false }
  ) throws -> Evaluation {
    try EvaluationRun(
      evaluator: self, plan: plan, seed: seed, labels: data.labels.array(of: Int.self), adversarial: adversarial, store: store,
      progress: progress, shouldStop: shouldStop
    ).result()
  }
}
