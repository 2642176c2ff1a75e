/// One line of a run's `metrics.jsonl`.
///
/// `models/reference_run.py` writes the same lines without the optional numbers.
public struct EpochMetrics: Codable, Sendable, Equatable {
  public struct Train: Codable, Sendable, Equatable {
    /// Mean loss over the training examples.
    public var loss: Double
    /// Fraction of the training examples, as perturbed, that were classified correctly.
    public var accuracy: Double
  }

  public struct Validation: Codable, Sendable, Equatable {
    /// Accuracy on the images as they are.
    public var clean: Double
    /// Accuracy under the training attack.
    public var robust: Double
    /// How many images that was measured on.
    public var samples: Int
  }

  public struct Perturbation: Codable, Sendable, Equatable {
    /// Size of the training perturbations, in the threat model's norm.
    public var mean: Double
    public var max: Double
  }

  /// Quantiles of a value over the samples of an epoch, linearly interpolated.
  public struct Quantiles: Codable, Sendable, Equatable {
    public var p05: Double
    public var p25: Double
    public var p50: Double
    public var p75: Double
    public var p95: Double

    /// - Parameter values: at least one.
    init(_ values: [Float]) {
      let sorted = values.sorted()
      func quantile(_ q: Double) -> Double {
        let position = q * Double(sorted.count - 1)
        let below = Int(position)
        let above = min(below + 1, sorted.count - 1)
        let (low, high) = (Double(sorted[below]), Double(sorted[above]))
        return low + (high - low) * (position - Double(below))
      }
      p05 = quantile(0.05)
      p25 = quantile(0.25)
      p50 = quantile(0.5)
      p75 = quantile(0.75)
      p95 = quantile(0.95)
    }
  }

  /// 0-based.
  public var epoch: Int
  /// Nil for a method without a curriculum.
  public var lambda: Double?
  /// Of its last step.
  public var learningRate: Double
  public var train: Train
  /// Only on epochs that validate.
  public var validation: Validation?
  /// Only on epochs that measure it.
  public var smoothness: Smoothness?
  public var perturbation: Perturbation
  /// Mean fraction of the samples that were moved, per step of the inner maximisation.
  public var active: [Double]?
  /// psi_P, the gap of probabilities, of the training examples as perturbed.
  public var psi: Quantiles?
  /// Mean over the batches of the joint L2 norm of the gradients, before clipping.
  public var gradientNorm: Double
  /// Of training, without validation.
  public var seconds: Double
  /// Of these, spent waiting for data.
  public var dataSeconds: Double?
  /// Of the processor, all threads together; unlike `seconds` it does not count what other programs took.
  public var processorSeconds: Double?
  public var samplesPerSecond: Double
  /// When the epoch ended, in seconds since 1970.
  public var time: Double
  /// The methods' own numbers, by the method's name, which is the key they are written under.
  public var methods: [String: [String: Double]] = [:]
}

extension EpochMetrics {
  private enum Key: String, CodingKey {
    case epoch, lambda, learningRate, train, validation, smoothness, perturbation, active, psi, gradientNorm, seconds, dataSeconds
    case processorSeconds, samplesPerSecond, time
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
    var own = encoder.container(keyedBy: NamedKey.self)
    for (method, numbers) in methods { try own.encode(numbers, forKey: NamedKey(stringValue: method)) }
  }

  /// Reads the epochs of a run's `metrics.jsonl`.
  ///
  /// - Parameter isStrict: whether NaN, Infinity and a last line that a killed run left torn are refused.
  /// - Throws: a sentence that names the file and the line that is not an epoch's metrics.
  public static func read(from path: String, isStrict: Bool = false) throws -> [EpochMetrics] {
    try JSONLines.read(path, "an epoch's metrics", isStrict: isStrict)
  }
}

/// One line of a run's `steps.jsonl`: one update of the weights.
///
/// `models/reference_run.py` writes the same lines without the optional numbers.
struct StepMetrics: Codable, Equatable {
  /// 0-based, over the whole run.
  var step: Int
  var epoch: Int
  /// Before the update.
  var loss: Double
  /// Joint L2 norm of the gradients, before clipping.
  var gradientNorm: Double
  /// Fraction of the batch that was moved, per step of the inner maximisation.
  var active: [Double]?

  /// Reads the steps of a run.
  ///
  /// - Throws: a sentence that names the file and the line that is not a step's metrics.
  static func read(from path: String) throws -> [StepMetrics] { try JSONLines.read(path, "a step's metrics", isStrict: true) }
}
