internal import SwiftTorch

/// All settings of a training run, saved in full as the run's `config.yaml`.
public struct TrainingConfiguration: Codable, Sendable, Equatable {
  /// The name of the preset that the configuration starts from.
  public var preset: String
  /// The method, by its name in `DefenseRegistry`.
  public var method: String
  /// All settings of the method, by name, as its registry entry lists them.
  public var methodOptions = MethodOptions()
  public var awp = WeightPerturbation()
  /// The name of a data set, or the path of a file.
  public var data: String
  /// The random changes of the training images: values of `Augmentation`, or one of its names.
  public var augmentation = Augmentation.none
  public var model: Architecture
  /// The starting weights: "none" for fresh weights, or the path of a model that `ModelFile` loads and that fits `model`.
  public var from: String
  /// The model's normalisation of images in [0, 1]: "none", a name, or MEAN and STD as on the command line.
  public var normalization: String
  public var threat: Threat
  public var attack: InnerAttack
  public var lambda: Schedule
  public var epochs: Int
  public var batchSize: Int
  public var optimizer: OptimizerSettings
  public var learningRateSchedule: LearningRateSettings
  public var averaging = Averaging()
  public var validation = Validation()
  public var checkpoints = Checkpoints()
  /// True to write a line to `steps.jsonl` at every update.
  public var logSteps = false
  /// The measurement of Fig. 4's quantities in `metrics.jsonl`; it does not change the training.
  public var smoothness = Smoothness.Settings()
  public var seed: UInt64 = 0
  public var execution = Execution()

  /// The threat model, with epsilon as the user typed it.
  public struct Threat: Codable, Sendable, Equatable {
    public var norm: Norm
    public var epsilon: Fraction
  }

  /// The settings of the inner maximisation; validation uses the same attack.
  public struct InnerAttack: Codable, Sendable, Equatable {
    public var steps: Int
    public var stepSize: Fraction
    public var randomStart: Bool
  }

  /// The settings of adversarial weight perturbation.
  public struct WeightPerturbation: Codable, Sendable, Equatable {
    /// The size of the move relative to the weights; 0 for none.
    public var gamma = 0.0
    /// The number of first epochs without the perturbation.
    public var warmup = 0

    var perturbation: AdversarialWeightPerturbation? {
      gamma > 0 ? AdversarialWeightPerturbation(gamma: gamma, warmup: warmup) : nil
    }
  }

  /// The settings of the optimizer.
  public struct OptimizerSettings: Codable, Sendable, Equatable {
    /// The name of the optimizer.
    public enum Name: String, ConfigurationWord, Sendable { case sgd, adam }
    public var name: Name
    public var learningRate: Double
    /// The momentum of SGD; Adam has its own coefficients.
    public var momentum: Double
    public var nesterov: Bool
    public var weightDecay: Double
    /// The largest joint L2 norm of the gradients, to which an update clips them; 0 for no limit.
    public var maxGradientNorm: Double
  }

  /// The choice of the weights to validate and save: the trained weights or their average.
  ///
  /// With an average, `best` and `last` hold averaged weights for evaluations; the training state holds the trained ones.
  public struct Averaging: Codable, Sendable, Equatable {
    /// The kind of the average.
    public enum Kind: String, ConfigurationWord, Sendable {
      case none
      /// Exponential moving average after every update, including BatchNorm's running statistics.
      case ema
      /// Mean of the weights at the end of each epoch.
      case swa
    }

    /// The images from which SWA recomputes BatchNorm's statistics at the end of an epoch.
    public enum Statistics: String, ConfigurationWord, Sendable {
      /// The training images under the training attack, as in training; each batch costs an inner maximisation.
      case perturbed
      case clean
    }

    public var kind = Kind.none
    /// For EMA: the weight of the old average after an update.
    public var decay = 0.999
    /// The 0-based epoch that begins the average; before it the trained weights count.
    public var start = 0
    /// For SWA: the images of the statistics.
    public var statistics = Statistics.perturbed
  }

  /// The settings of checkpoints.
  public struct Checkpoints: Codable, Sendable, Equatable {
    /// The minutes between checkpoints inside an epoch; the end of an epoch always makes one.
    public var minutes = 10.0
  }

  /// The settings of validation.
  public struct Validation: Codable, Sendable, Equatable {
    /// The number of epochs from one validation to the next; the last epoch is always validated.
    public var every = 1
  }

  public var maximizer: InnerMaximizer {
    get throws(SATError) {
      InnerMaximizer(
        threat: try ThreatModel(norm: threat.norm, epsilon: threat.epsilon.value), steps: attack.steps,
        stepSize: attack.stepSize.value, start: attack.randomStart ? .random : .clean)
    }
  }

  /// Returns the preset for another method, with its default options and adapted settings; throws `SATError` for an unknown method.
  public func adapted(to method: String) throws(SATError) -> TrainingConfiguration {
    let entry = try DefenseRegistry.entry(named: method)
    var result = self
    result.method = method
    var settings = AdaptableSettings(
      data: data, network: model.name, epsilon: threat.epsilon.value, options: MethodOptions(of: entry), lambda: lambda,
      epochs: epochs, augmentation: augmentation, stepSize: attack.stepSize, learningRate: optimizer.learningRate,
      weightDecay: optimizer.weightDecay, learningRateSchedule: learningRateSchedule)
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

  /// Returns the settings that make this another run than `earlier`, as `key was A, is B`.
  ///
  /// It ignores the execution, all output besides the weights, and the length unless the learning rates depend on it.
  public func differences(from earlier: TrainingConfiguration) throws(SATError) -> [String] {
    var comparable = self
    comparable.preset = earlier.preset
    comparable.execution = earlier.execution
    if !learningRateSchedule.dependsOnLength { comparable.epochs = earlier.epochs }
    comparable.checkpoints = earlier.checkpoints
    comparable.logSteps = earlier.logSteps
    comparable.smoothness = earlier.smoothness
    return try ConfigurationFile.differences(earlier, comparable)
  }
}
