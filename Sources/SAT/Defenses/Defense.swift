public import SwiftTorch

/// A batch of clean training images, as a defense gets it.
public struct TrainingBatch {
  /// [N, C, H, W] in [0, 1].
  public var images: Tensor
  /// [N], int64.
  public var labels: Tensor
  /// Positions of the samples in the training set, int64 [N] on the CPU, by which a defense finds samples after shuffling.
  public var indices: Tensor
  /// The 0-based epoch.
  public var epoch: Int

  public init(images: Tensor, labels: Tensor, indices: Tensor, epoch: Int) {
    self.images = images
    self.labels = labels
    self.indices = indices
    self.epoch = epoch
  }
}

/// The result of a defense's step on one batch, for the logs.
public struct TrainingOutcome {
  /// The loss that the step minimises, before the update.
  public var loss: Double
  /// The logits of the training examples [N, C], outside the graph.
  public var logits: Tensor
  /// The sizes of the perturbations [N], in the threat model's norm.
  public var perturbation: Tensor
  /// The fraction of the batch that moved, one entry per step of the inner maximisation.
  public var active: [Double]
}

/// A defense's report at the end of an epoch.
public struct EpochReport: Sendable, Equatable {
  /// The defense's own numbers for `metrics.jsonl`, by name.
  public var metrics: [String: Double] = [:]
  /// The reason to end training now, as one sentence; nil to go on.
  public var stop: String?
}

/// A method to train a network against perturbations: its curriculum, its outer loss, and the state it keeps across epochs.
///
/// The trainer prints, saves and validates; a defense does not. The network makes perturbations in evaluation mode. By default it
/// sees only perturbed images in training mode, so clean images do not affect BatchNorm's statistics, as in the paper's code.
public protocol Defense: AnyObject {
  /// Returns the difficulty for a 0-based epoch; nil for a method without a difficulty.
  func lambda(at epoch: Int) -> Double?

  /// Trains on one batch: makes the examples and updates the weights, only through `update`, with draws of `generator`, on the CPU.
  ///
  /// - Throws: `SATError` when the loss is not finite, and the network's `TorchError`; the weights are then unchanged.
  func step(_ batch: TrainingBatch, _ update: WeightUpdate, generator: Generator) throws -> TrainingOutcome

  /// Ends an epoch, after its last batch; the method may read and change the network, which is in training mode.
  func finishEpoch(_ epoch: Int, _ network: NetworkClassifier) throws -> EpochReport

  /// The tensors that later steps depend on besides the weights, by name, for a checkpoint.
  var state: NamedTensors { get }

  /// Restores a saved `state`.
  ///
  /// - Throws: `TorchError` when the state belongs to another kind of defense; the defense is then unchanged.
  func restore(_ state: NamedTensors) throws(TorchError)
}

extension Defense {
  public func lambda(at epoch: Int) -> Double? { nil }
  public func finishEpoch(_ epoch: Int, _ network: NetworkClassifier) throws -> EpochReport { EpochReport() }
  public var state: NamedTensors { [] }
  public func restore(_ state: NamedTensors) throws(TorchError) {}
}

/// The settings from which the registry makes a defense.
public struct DefenseSettings: Sendable {
  public var maximizer: InnerMaximizer
  public var lambda: Schedule
  /// The values of all options of the method.
  public var options: MethodOptions
  /// The number of samples in the training set.
  public var trainingSize: Int

  public init(maximizer: InnerMaximizer, lambda: Schedule, options: MethodOptions = MethodOptions(), trainingSize: Int) {
    self.maximizer = maximizer
    self.lambda = lambda
    self.options = options
    self.trainingSize = trainingSize
  }
}

extension NamedTensors {
  /// Returns the tensors whose names begin with `name` and a point, by the rest of their names.
  func part(_ name: String) -> NamedTensors {
    compactMap { $0.name.hasPrefix(name + ".") ? (String($0.name.dropFirst(name.count + 1)), $0.tensor) : nil }
  }

  /// Returns a tensor of a defense's saved state; throws `TorchError` when it is missing or has another shape.
  func required(_ name: String, shape: [Int]) throws(TorchError) -> Tensor {
    guard let tensor = first(where: { $0.name == name })?.tensor else {
      throw TorchError(.value, "the checkpoint lacks the method's '\(name)'; it belongs to another method or version")
    }
    guard tensor.shape == shape else {
      throw TorchError(
        .value,
        "the method's '\(name)' has shape \(tensor.shape) in the checkpoint; expected \(shape), so use that run's training set")
    }
    return tensor
  }
}

extension InnerMaximizer.Outcome {
  /// Returns the outcome for an unchanged batch, with `steps` steps that move no sample.
  static func unperturbed(_ batch: TrainingBatch, steps: Int) -> Self {
    Self(images: batch.images, active: Array(repeating: 0, count: steps), cost: AttackCost())
  }
}
