public import SwiftTorch

/// One batch of training data.
public struct TrainingBatch {
  /// [N, C, H, W] in [0, 1].
  public var images: Tensor
  /// [N], int64.
  public var labels: Tensor
  /// Where the samples sit in the training set, int64 [N] on the CPU: what a defense remembers of a sample survives shuffling.
  public var indices: Tensor
  /// 0-based.
  public var epoch: Int

  public init(images: Tensor, labels: Tensor, indices: Tensor, epoch: Int) {
    self.images = images
    self.labels = labels
    self.indices = indices
    self.epoch = epoch
  }
}

/// What a defense did with a batch.
public struct TrainingOutcome {
  /// The loss that was minimised, before the update.
  public var loss: Double
  /// Logits of the training examples [N, C], outside the graph.
  public var logits: Tensor
  /// Sizes of their perturbations [N], in the threat model's norm.
  public var perturbation: Tensor
  /// Fraction of the batch that was moved, one entry per step of the inner maximisation.
  public var active: [Double]
}

/// What a defense has to say at the end of an epoch.
public struct EpochReport: Sendable, Equatable {
  /// Numbers of its own for `metrics.jsonl`, by name.
  public var metrics: [String: Double]
  /// Why training must end now, in a sentence; nil to go on.
  public var stop: String?

  public init(metrics: [String: Double] = [:], stop: String? = nil) { (self.metrics, self.stop) = (metrics, stop) }
}

/// A way to train a network against perturbations: which curriculum, which outer loss, which state it keeps across epochs.
///
/// A defense neither prints nor saves nor validates; the trainer does.
///
/// Perturbations are made with the network in evaluation mode, and by default only the perturbed images are seen by it in training
/// mode, so clean data never touch BatchNorm's running statistics (as in the paper's code).
public protocol Defense: AnyObject {
  /// Difficulty in force while an epoch (0-based) is trained; nil for a method without one.
  func lambda(at epoch: Int) -> Double?

  /// Trains on one batch: makes its examples and has the weights updated by them, through `update` alone.
  ///
  /// - Parameter generator: a CPU generator; every draw comes from it.
  /// - Throws: `SATError` when the loss is not finite, `TorchError` from the network; the weights are then as they were.
  func step(_ batch: TrainingBatch, _ update: WeightUpdate, generator: Generator) throws -> TrainingOutcome

  /// Called after the last batch of an epoch; the network is in training mode and may be looked at and changed.
  func finishEpoch(_ epoch: Int, _ network: NetworkClassifier) throws -> EpochReport

  /// Everything a later step depends on besides the weights, by name, for a checkpoint.
  var state: NamedTensors { get }

  /// Goes on from a saved `state`.
  ///
  /// - Throws: `TorchError` when it is not the state of such a defense; nothing has been changed then.
  func restore(_ state: NamedTensors) throws(TorchError)
}

extension Defense {
  public func lambda(at epoch: Int) -> Double? { nil }
  public func finishEpoch(_ epoch: Int, _ network: NetworkClassifier) throws -> EpochReport { EpochReport() }
  public var state: NamedTensors { [] }
  public func restore(_ state: NamedTensors) throws(TorchError) {}
}

/// What a defense is made from.
public struct DefenseSettings: Sendable {
  public var maximizer: InnerMaximizer
  public var lambda: Schedule
  /// All options of the method.
  public var options: MethodOptions
  /// Samples in the training set.
  public var trainingSize: Int

  public init(maximizer: InnerMaximizer, lambda: Schedule, options: MethodOptions = MethodOptions(), trainingSize: Int) {
    self.maximizer = maximizer
    self.lambda = lambda
    self.options = options
    self.trainingSize = trainingSize
  }
}

extension NamedTensors {
  /// The tensor of a name in a defense's saved state.
  ///
  /// - Throws: `TorchError` when it is missing or has another shape.
  func required(_ name: String, shape: [Int]) throws(TorchError) -> Tensor {
    guard let tensor = first(where: { $0.name == name })?.tensor else {
      throw TorchError(.value, "the checkpoint lacks the method's '\(name)'; it belongs to another method or version")
    }
    guard tensor.shape == shape else {
      throw TorchError(
        .value, "the method's '\(name)' has shape \(tensor.shape) in the checkpoint; expected \(shape), so the training set is another one")
    }
    return tensor
  }
}

extension InnerMaximizer.Outcome {
  /// A training batch as it is, after `steps` steps of nothing.
  static func unperturbed(_ batch: TrainingBatch, steps: Int) -> Self {
    Self(images: batch.images, active: Array(repeating: 0, count: steps), cost: AttackCost())
  }
}
