internal import Foundation

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
  public var active: [Double]
  /// psi_P, the gap of probabilities, of the training examples as perturbed.
  public var psi: Quantiles
  /// Mean over the batches of the joint L2 norm of the gradients, before clipping.
  public var gradientNorm: Double
  /// Of training, without validation.
  public var seconds: Double
  /// Of these, spent waiting for data.
  public var dataSeconds: Double
  /// Of the processor, all threads together; unlike `seconds` it does not count what other programs took.
  public var processorSeconds: Double
  public var samplesPerSecond: Double
  /// When the epoch ended, in seconds since 1970.
  public var time: Double

  /// The method's own numbers; written under its name.
  public var method: [String: Double] = [:]

  private enum CodingKeys: String, CodingKey {
    case epoch, lambda, learningRate, train, validation, perturbation, active, psi, gradientNorm, seconds, dataSeconds, samplesPerSecond
    case processorSeconds, smoothness, time
  }
}

/// The metrics of an epoch with the method's numbers under the method's name.
struct MetricsLine: Codable {
  let metrics: EpochMetrics
  private let methods: [String: [String: Double]]

  init(_ metrics: EpochMetrics, method: String) {
    self.metrics = metrics
    methods = metrics.method.isEmpty ? [:] : [method: metrics.method]
  }

  init(from decoder: any Decoder) throws {
    metrics = try EpochMetrics(from: decoder)
    let container = try decoder.container(keyedBy: NamedKey.self)
    let known = DefenseRegistry.entries.map(\.name)
    methods = try Dictionary(
      uniqueKeysWithValues: container.allKeys.filter { known.contains($0.stringValue) }.map {
        ($0.stringValue, try container.decode([String: Double].self, forKey: $0))
      })
  }

  func encode(to encoder: any Encoder) throws {
    try metrics.encode(to: encoder)
    var container = encoder.container(keyedBy: NamedKey.self)
    for (name, values) in methods { try container.encode(values, forKey: NamedKey(stringValue: name)) }
  }

  func metrics(of method: String) -> EpochMetrics {
    var metrics = metrics
    metrics.method = methods[method] ?? [:]
    return metrics
  }

  /// The numbers as TensorBoard shows them, a tag each: `train/loss`. A list counts by its mean.
  var scalars: [(tag: String, value: Double)] {
    guard let data = try? JSONEncoder().encode(self), let tree = try? JSONSerialization.jsonObject(with: data) else { return [] }
    func walk(_ value: Any, _ tag: String) -> [(tag: String, value: Double)] {
      switch value {
      case let children as [String: Any]:
        children.sorted { $0.key < $1.key }.flatMap { walk($0.value, tag.isEmpty ? $0.key : "\(tag)/\($0.key)") }
      case let list as [NSNumber]: list.isEmpty ? [] : [(tag, list.reduce(0) { $0 + $1.doubleValue } / Double(list.count))]
      case let number as NSNumber: [(tag, number.doubleValue)]
      default: []
      }
    }
    return walk(tree, "").filter { !["epoch", "time", "validation/samples"].contains($0.tag) }
  }
}

/// One line of a run's `steps.jsonl`: one update of the weights.
struct StepMetrics: Codable {
  /// 0-based, over the whole run.
  var step: Int
  var epoch: Int
  /// Before the update.
  var loss: Double
  /// Joint L2 norm of the gradients, before clipping.
  var gradientNorm: Double
  /// Fraction of the batch that was moved, per step of the inner maximisation.
  var active: [Double]
}
