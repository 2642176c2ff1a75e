internal import SwiftTorch

/// Everything a training run depends on. Saved with the run as `config.yaml`, in full.
public struct TrainingConfiguration: Codable, Sendable, Equatable {
  /// The preset it started from.
  public var preset: String
  /// A name of `DefenseRegistry`.
  public var method: String
  /// All settings of the method, by name: what its entry in the registry lists.
  public var methodOptions = MethodOptions()
  /// Adversarial weight perturbation around the method.
  public var awp = WeightPerturbation()
  /// A data set's name or a file's path.
  public var data: String
  /// Random changes of the training images: values of `Augmentation`, or one of its names.
  public var augmentation = Augmentation.none
  public var model: Architecture
  /// "none" for fresh weights, or the path of a model to go on from: whatever `ModelFile` loads and fits `model`.
  public var from: String
  /// "none", a name, or MEAN and STD as on the command line; sits inside the model, so that images stay in [0, 1].
  public var normalization: String
  public var threat: Threat
  public var attack: InnerAttack
  public var lambda: Schedule
  public var epochs: Int
  public var batchSize: Int
  public var optimizer: OptimizerSettings
  public var learningRateSchedule: LearningRateSettings
  public var averaging: Averaging
  public var validation: Validation
  public var checkpoints: Checkpoints
  /// Whether `steps.jsonl` gets a line at every update of the weights.
  public var logSteps: Bool
  /// Fig. 4's quantities in `metrics.jsonl`; what is measured changes nothing in the training.
  public var smoothness = Smoothness.Settings()
  public var seed: UInt64
  public var execution: Execution

  public struct Threat: Codable, Sendable, Equatable {
    public var norm: Norm
    public var epsilon: Fraction
  }

  /// The inner maximisation; the same attack serves validation.
  public struct InnerAttack: Codable, Sendable, Equatable {
    public var steps: Int
    public var stepSize: Fraction
    public var randomStart: Bool
  }

  public struct WeightPerturbation: Codable, Sendable, Equatable {
    /// Size of the move relative to the weights; 0 for none.
    public var gamma = 0.0
    /// Epochs to train without it first.
    public var warmup = 0

    var perturbation: AdversarialWeightPerturbation? {
      gamma > 0 ? AdversarialWeightPerturbation(gamma: gamma, warmup: warmup) : nil
    }
  }

  public struct OptimizerSettings: Codable, Sendable, Equatable {
    public enum Name: String, ConfigurationWord, Sendable { case sgd, adam }
    public var name: Name
    public var learningRate: Double
    /// Of SGD; Adam has its own.
    public var momentum: Double
    public var nesterov: Bool
    public var weightDecay: Double
    /// The gradients' joint L2 norm is cut down to this before a step; 0 leaves them as they are.
    public var maxGradientNorm: Double
  }

  /// Which weights are validated and kept: those of the training itself, or their average.
  ///
  /// With an average, `best` and `last` hold the averaged weights, which is what a run is evaluated by; those of the training go on in
  /// the checkpoint's training state.
  public struct Averaging: Codable, Sendable, Equatable {
    public enum Kind: String, ConfigurationWord, Sendable {
      case none
      /// Exponential moving average, a step at a time, running statistics included.
      case ema
      /// Mean of the weights at the ends of the epochs.
      case swa
    }

    /// The images from which SWA makes the statistics of BatchNorm anew at the end of an epoch.
    public enum Statistics: String, ConfigurationWord, Sendable {
      /// The training images under the training attack, as during training; costs an inner maximisation a batch.
      case perturbed
      /// The training images as they are.
      case clean
    }

    public var kind: Kind
    /// Of EMA: what is left of the average after a step.
    public var decay: Double
    /// 0-based epoch that begins the average; before it the weights of the training count.
    public var start: Int
    /// Of SWA.
    public var statistics: Statistics

    public init(kind: Kind = .none, decay: Double = 0.999, start: Int = 0, statistics: Statistics = .perturbed) {
      self.kind = kind
      self.decay = decay
      self.start = start
      self.statistics = statistics
    }
  }

  public struct Checkpoints: Codable, Sendable, Equatable {
    /// Minutes from one checkpoint to the next inside an epoch; the end of an epoch always makes one.
    public var minutes: Double

    public init(minutes: Double = 10) { self.minutes = minutes }
  }

  public struct Validation: Codable, Sendable, Equatable {
    /// Epochs from one validation to the next; the last epoch is always validated.
    public var every: Int
  }

  public var maximizer: InnerMaximizer {
    get throws(SATError) {
      InnerMaximizer(
        threat: try ThreatModel(norm: threat.norm, epsilon: threat.epsilon.value), steps: attack.steps,
        stepSize: attack.stepSize.value, start: attack.randomStart ? .random : .clean)
    }
  }

  /// The preset for another method: its options with their defaults, and what else the method wants otherwise.
  ///
  /// - Throws: `SATError` for a method that is not known.
  public func adapted(to method: String) throws(SATError) -> TrainingConfiguration {
    let entry = try DefenseRegistry.entry(named: method)
    var result = self
    result.method = method
    var settings = AdaptableSettings(
      data: data, network: model.name, epsilon: threat.epsilon.value, options: MethodOptions(of: entry), lambda: lambda, epochs: epochs,
      augmentation: augmentation, stepSize: attack.stepSize, learningRate: optimizer.learningRate, weightDecay: optimizer.weightDecay,
      learningRateSchedule: learningRateSchedule)
    entry.adapt(&settings)
    result.methodOptions = settings.options
    result.lambda = settings.lambda
    result.epochs = settings.epochs
    result.augmentation = settings.augmentation
    result.attack.stepSize = settings.stepSize
    result.optimizer.learningRate = settings.learningRate
    result.optimizer.weightDecay = settings.weightDecay
    result.learningRateSchedule = settings.learningRateSchedule
    if !entry.usesLambda { result.lambda = .constant(1) }
    return result
  }

  /// What makes this another run than `earlier` was, as `key was A, is B`: everything but its length, where and how it computes, and
  /// what it writes besides the weights.
  public func differences(from earlier: TrainingConfiguration) throws(SATError) -> [String] {
    var comparable = self
    (comparable.preset, comparable.execution) = (earlier.preset, earlier.execution)
    if !learningRateSchedule.dependsOnLength { comparable.epochs = earlier.epochs }
    (comparable.checkpoints, comparable.logSteps) = (earlier.checkpoints, earlier.logSteps)
    comparable.smoothness = earlier.smoothness
    return try ConfigurationFile.differences(earlier, comparable)
  }
}
