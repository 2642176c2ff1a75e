/// One line of a run's `metrics.jsonl`.
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
  }

  public struct Perturbation: Codable, Sendable, Equatable {
    /// Size of the training perturbations, in the threat model's norm.
    public var mean: Double
    public var max: Double
  }

  /// 0-based.
  public var epoch: Int
  /// Nil for a method without a curriculum.
  public var lambda: Double?
  public var learningRate: Double
  public var train: Train
  /// Only on epochs that validate.
  public var validation: Validation?
  public var perturbation: Perturbation
  /// Mean fraction of the samples that were moved, per step of the inner maximisation.
  public var active: [Double]
  /// Mean over the batches of the joint L2 norm of the gradients.
  public var gradientNorm: Double
  public var seconds: Double
  public var samplesPerSecond: Double
  /// The method's own numbers; written under its name.
  public var method: [String: Double] = [:]

  private enum CodingKeys: String, CodingKey {
    case epoch, lambda, learningRate, train, validation, perturbation, active, gradientNorm, seconds, samplesPerSecond
  }
}

/// The metrics of an epoch with the method's numbers under the method's name.
struct MetricsLine: Codable {
  private struct Name: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  private let metrics: EpochMetrics
  private let methods: [String: [String: Double]]

  init(_ metrics: EpochMetrics, method: String) {
    self.metrics = metrics
    methods = metrics.method.isEmpty ? [:] : [method: metrics.method]
  }

  init(from decoder: any Decoder) throws {
    metrics = try EpochMetrics(from: decoder)
    let container = try decoder.container(keyedBy: Name.self)
    let known = DefenseRegistry.entries.map(\.name)
    methods = try Dictionary(
      uniqueKeysWithValues: container.allKeys.filter { known.contains($0.stringValue) }.map {
        ($0.stringValue, try container.decode([String: Double].self, forKey: $0))
      })
  }

  func encode(to encoder: any Encoder) throws {
    try metrics.encode(to: encoder)
    var container = encoder.container(keyedBy: Name.self)
    for (name, values) in methods { try container.encode(values, forKey: Name(stringValue: name)) }
  }

  func metrics(of method: String) -> EpochMetrics {
    var metrics = metrics
    metrics.method = methods[method] ?? [:]
    return metrics
  }
}

/// Sums over the batches of an epoch.
struct EpochSums {
  private var samples = 0
  private var batches = 0
  private var loss = 0.0
  private var correct = 0.0
  private var perturbation = 0.0
  private var largest = 0.0
  private var active: [Double] = []
  private var gradientNorm = 0.0

  mutating func add(
    samples count: Int, loss: Double, correct: Double, perturbation total: Double, largest: Double, active: [Double],
    gradientNorm: Double
  ) {
    samples += count
    batches += 1
    self.loss += loss * Double(count)
    self.correct += correct
    perturbation += total
    self.largest = max(self.largest, largest)
    if self.active.isEmpty { self.active = Array(repeating: 0, count: active.count) }
    for (i, fraction) in active.enumerated() { self.active[i] += fraction * Double(count) }
    self.gradientNorm += gradientNorm
  }

  var meanLoss: Double { loss / Double(max(samples, 1)) }

  func metrics(epoch: Int, lambda: Double?, learningRate: Double, seconds: Double) -> EpochMetrics {
    let n = Double(samples)
    return EpochMetrics(
      epoch: epoch, lambda: lambda, learningRate: learningRate, train: .init(loss: meanLoss, accuracy: correct / n),
      validation: nil, perturbation: .init(mean: perturbation / n, max: largest), active: active.map { $0 / n },
      gradientNorm: gradientNorm / Double(batches), seconds: seconds, samplesPerSecond: n / seconds)
  }
}
