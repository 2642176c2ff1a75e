/// One line of a run's `metrics.jsonl`.
///
/// `models/reference_run.py` writes the same lines, and those of `StepMetrics`, without the optional numbers.
public struct EpochMetrics: Codable, Sendable, Equatable {
  /// The metrics of the training examples.
  public struct Train: Codable, Sendable, Equatable {
    /// The mean loss over the training examples.
    public var loss: Double
    /// The fraction of the perturbed training examples that were classified correctly.
    public var accuracy: Double
  }

  /// The metrics of the validation images.
  public struct Validation: Codable, Sendable, Equatable {
    /// The accuracy on clean images.
    public var clean: Double
    /// The accuracy under the training attack.
    public var robust: Double
    /// The number of validation images.
    public var samples: Int
  }

  /// The sizes of the training perturbations.
  public struct Perturbation: Codable, Sendable, Equatable {
    /// The mean and the largest size of the training perturbations, in the threat model's norm.
    public var mean: Double
    public var max: Double
  }

  /// The quantiles of a value over the samples of an epoch, with linear interpolation.
  public struct Quantiles: Codable, Sendable, Equatable {
    public var p05: Double
    public var p25: Double
    public var p50: Double
    public var p75: Double
    public var p95: Double

    /// Computes the quantiles of at least one value.
    init(_ values: [Float]) {
      let sorted = values.sorted()
      func quantile(_ q: Double) -> Double { QuantileRule.linear.quantile(q, of: sorted) }
      p05 = quantile(0.05)
      p25 = quantile(0.25)
      p50 = quantile(0.5)
      p75 = quantile(0.75)
      p95 = quantile(0.95)
    }
  }

  /// The 0-based epoch.
  public var epoch: Int
  /// The difficulty; nil for a method without one.
  public var lambda: Double?
  /// The learning rate of the last update.
  public var learningRate: Double
  public var train: Train
  /// The validation; nil on epochs without one.
  public var validation: Validation?
  /// The smoothness; nil on epochs without a measurement.
  public var smoothness: Smoothness?
  public var perturbation: Perturbation
  /// The mean fraction of samples that moved, one entry per step of the inner maximisation.
  public var active: [Double]?
  /// The probability gap psi_P of the perturbed training examples.
  public var psi: Quantiles?
  /// The joint L2 norm of the gradients before clipping, as the mean over batches.
  public var gradientNorm: Double
  /// The seconds of training, without validation.
  public var seconds: Double
  /// The part of `seconds` spent waiting for data.
  public var dataSeconds: Double?
  /// The processor's seconds over all threads; unlike `seconds` they exclude the time of other programs.
  public var processorSeconds: Double?
  public var samplesPerSecond: Double
  /// The time at the epoch's end, in seconds since 1970.
  public var time: Double
  /// The device that trained, and its name, such as "cpu, AMD EPYC"; a resumed run may move to another.
  public var machine: String?
  /// The methods' own numbers, by the method's name, which is also their key in the file.
  public var methods: [String: [String: Double]] = [:]
}

extension EpochMetrics {
  private enum Key: String, CodingKey {
    case epoch, lambda, learningRate, train, validation, smoothness, perturbation, active, psi, gradientNorm, seconds, dataSeconds
    case processorSeconds, samplesPerSecond, time, machine
  }

  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: Key.self)
    epoch = try values.decode(Int.self, forKey: .epoch)
    guard Limit.epoch.contains(epoch) else {
      throw DecodingError.dataCorruptedError(forKey: .epoch, in: values, debugDescription: "expected \(Limit.epoch)")
    }
    lambda = try values.decodeIfPresent(Double.self, forKey: .lambda)
    learningRate = try values.decode(Double.self, forKey: .learningRate)
    train = try values.decode(Train.self, forKey: .train)
    validation = try values.decodeIfPresent(Validation.self, forKey: .validation)
    smoothness = try values.decodeIfPresent(Smoothness.self, forKey: .smoothness)
    perturbation = try values.decode(Perturbation.self, forKey: .perturbation)
    active = try values.decodeIfPresent([Double].self, forKey: .active)
    psi = try values.decodeIfPresent(Quantiles.self, forKey: .psi)
    gradientNorm = try values.decode(Double.self, forKey: .gradientNorm)
    seconds = try values.decode(Double.self, forKey: .seconds)
    dataSeconds = try values.decodeIfPresent(Double.self, forKey: .dataSeconds)
    processorSeconds = try values.decodeIfPresent(Double.self, forKey: .processorSeconds)
    samplesPerSecond = try values.decode(Double.self, forKey: .samplesPerSecond)
    time = try values.decode(Double.self, forKey: .time)
    machine = try values.decodeIfPresent(String.self, forKey: .machine)
    let own = try decoder.container(keyedBy: NamedKey.self)
    for key in own.allKeys where DefenseRegistry.entries.contains(where: { $0.name == key.stringValue }) {
      methods[key.stringValue] = try own.decode([String: Double].self, forKey: key)
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: Key.self)
    try values.encode(epoch, forKey: .epoch)
    try values.encodeIfPresent(lambda, forKey: .lambda)
    try values.encode(learningRate, forKey: .learningRate)
    try values.encode(train, forKey: .train)
    try values.encodeIfPresent(validation, forKey: .validation)
    try values.encodeIfPresent(smoothness, forKey: .smoothness)
    try values.encode(perturbation, forKey: .perturbation)
    try values.encodeIfPresent(active, forKey: .active)
    try values.encodeIfPresent(psi, forKey: .psi)
    try values.encode(gradientNorm, forKey: .gradientNorm)
    try values.encode(seconds, forKey: .seconds)
    try values.encodeIfPresent(dataSeconds, forKey: .dataSeconds)
    try values.encodeIfPresent(processorSeconds, forKey: .processorSeconds)
    try values.encode(samplesPerSecond, forKey: .samplesPerSecond)
    try values.encode(time, forKey: .time)
    try values.encodeIfPresent(machine, forKey: .machine)
    var own = encoder.container(keyedBy: NamedKey.self)
    for (method, numbers) in methods { try own.encode(numbers, forKey: NamedKey(stringValue: method)) }
  }

  /// Reads the epochs of a run's `metrics.jsonl`; strict reading refuses NaN, Infinity and the torn last line of a killed run.
  ///
  /// - Throws: `SATError` that names the file and the line that is not an epoch's metrics.
  public static func read(from path: String, isStrict: Bool = false) throws -> [EpochMetrics] {
    try JSONLines.read(path, "an epoch's metrics", isStrict: isStrict)
  }
}

/// One line of a run's `steps.jsonl`: one update of the weights.
struct StepMetrics: Codable, Equatable {
  /// The number of the update in the whole run, from 0.
  var step: Int
  var epoch: Int
  /// The loss before the update.
  var loss: Double
  /// The joint L2 norm of the gradients before clipping.
  var gradientNorm: Double
  /// The fraction of the batch that moved, one entry per step of the inner maximisation.
  var active: [Double]?

  /// Reads the updates of a run; throws `SATError` that names the file and the line that is not a step's metrics.
  static func read(from path: String) throws -> [StepMetrics] { try JSONLines.read(path, "a step's metrics", isStrict: true) }
}
