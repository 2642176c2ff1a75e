public import SwiftTorch

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
  public var model: Architecture
  /// "none", a name, or MEAN and STD as on the command line; sits inside the model, so that images stay in [0, 1].
  public var normalization: String
  public var threat: Threat
  public var attack: InnerAttack
  public var lambda: Schedule
  public var epochs: Int
  public var batchSize: Int
  public var optimizer: OptimizerSettings
  public var learningRateSchedule: LearningRateSettings
  public var validation: Validation
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
    public enum Name: String, Codable, Sendable, CaseIterable { case sgd, adam }
    public var name: Name
    public var learningRate: Double
    /// Of SGD; Adam has its own.
    public var momentum: Double
    public var nesterov: Bool
    public var weightDecay: Double
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
    result.methodOptions = MethodOptions(of: entry)
    entry.adapt(&result)
    return result
  }

  /// - Throws: `SATError` that names the first value outside its range.
  public func validated() throws(SATError) -> TrainingConfiguration {
    func require(_ holds: Bool, _ key: String, _ value: Any, _ expected: String) throws(SATError) {
      if !holds { throw SATError("\(key) is \(value); expected \(expected)") }
    }
    _ = try maximizer
    try methodOptions.validate(for: try DefenseRegistry.entry(named: method))
    try require(awp.gamma >= 0 && awp.gamma < 1, "awp.gamma", awp.gamma, "0 <= gamma < 1, 0 for none")
    try require(awp.warmup >= 0, "awp.warmup", awp.warmup, "0 or more")
    try require(attack.steps >= 1, "attack.steps", attack.steps, "at least 1")
    try require(attack.stepSize.value > 0, "attack.stepSize", attack.stepSize, "more than 0")
    try require(epochs >= 1, "epochs", epochs, "at least 1")
    try require(batchSize >= 1, "batchSize", batchSize, "at least 1")
    try require(optimizer.learningRate > 0, "optimizer.learningRate", optimizer.learningRate, "more than 0")
    try require((0..<1).contains(optimizer.momentum), "optimizer.momentum", optimizer.momentum, "0 <= momentum < 1")
    try require(optimizer.weightDecay >= 0, "optimizer.weightDecay", optimizer.weightDecay, "0 or more")
    try require(
      !optimizer.nesterov || (optimizer.name == .sgd && optimizer.momentum > 0), "optimizer.nesterov", true,
      "false unless the optimizer is sgd with a momentum")
    try require(validation.every >= 1, "validation.every", validation.every, "at least 1")
    return self
  }
}

/// The learning rate over the epochs, as it is written in a configuration.
public struct LearningRateSettings: Codable, Sendable, Equatable {
  public enum Kind: String, Codable, Sendable, CaseIterable {
    case constant
    case multiStep = "multi-step"
    case cosine
  }

  public var kind: Kind
  /// Of `multi-step`: the 0-based epochs from which on the rate is lower by another factor.
  public var milestones: [Int]
  /// Of `multi-step`: the factor.
  public var gamma: Double

  public init(kind: Kind, milestones: [Int] = [], gamma: Double = 0.1) {
    (self.kind, self.milestones, self.gamma) = (kind, milestones, gamma)
  }

  func schedule(epochs: Int) -> LearningRateSchedule {
    switch kind {
    case .constant: .constant
    case .multiStep: .multiStep(milestones, gamma: gamma)
    case .cosine: .cosine(epochs)
    }
  }
}

/// Where and how a run computes. Changes speed, not the method.
public struct Execution: Codable, Sendable, Equatable {
  public enum Precision: String, Codable, Sendable, CaseIterable {
    case fp32
    /// Operators that bear it compute in bfloat16 (autocast); weights, losses and steps stay in float32.
    case bf16
  }

  public enum Layout: String, Codable, Sendable, CaseIterable {
    /// Channels-last, the faster of the two where it was measured.
    case auto
    case contiguous
    case channelsLast = "channels-last"

    public var format: MemoryFormat { self == .contiguous ? .contiguous : .channelsLast }
  }

  /// "best", "cpu", "cuda" or "cuda:N".
  public var device: String
  /// 0 leaves it to libtorch.
  public var threads: Int
  public var precision: Precision
  public var memoryFormat: Layout

  public init(device: String = "best", threads: Int = 0, precision: Precision = .fp32, memoryFormat: Layout = .auto) {
    (self.device, self.threads, self.precision, self.memoryFormat) = (device, threads, precision, memoryFormat)
  }

  /// Sets the threads and finds the device.
  ///
  /// - Throws: `TorchError` when the device is not there or the number of threads is not positive.
  public func prepare() throws(TorchError) -> Device {
    if threads != 0 { try Torch.setThreadCount(threads) }
    return device == "best" ? .best : try Device(device)
  }
}
