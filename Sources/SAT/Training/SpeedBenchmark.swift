internal import SwiftTorch

/// The speed of a network on this machine: the JSON document of `sat bench`, `sat-bench/1`.
///
/// The times predict the duration of a training or an attack. Every sample moves at every step, as in AT; no curriculum is slower.
public struct SpeedBenchmark: VersionedDocument {
  public static let format = "sat-bench/1"

  /// One timed operation on a batch.
  public struct Part: Codable, Sendable, Equatable {
    public var name: String
    /// The seconds per batch, as the median of the repetitions.
    public var seconds: Double
    public var samplesPerSecond: Double
    public var repetitions: Int
  }

  public private(set) var format: String = Self.format
  public var model: String
  public var parameters: Int
  /// The shape of an image, [C, H, W].
  public var inputShape: [Int]
  public var batchSize: Int
  /// The number of steps of the perturbation in "at".
  public var attackSteps: Int
  public var device: String
  public var threads: Int
  public var precision: Execution.Precision
  /// The timed parts: "forward" (logits), "gradient" (an attack's step: logits and the gradient with respect to the images),
  /// "update" (of the weights, on clean images) and "at" (adversarial training: perturbation and update).
  public var parts: [Part]

  /// Times each part for `seconds`, three times at least; throws `SATError` for an unknown network or device.
  ///
  /// The function calls `progress` with the name of each part. Images, labels and weights depend on the seed.
  public static func measure(
    _ architecture: Architecture, batchSize: Int, attackSteps: Int, execution: Execution, seconds: Double, seed: UInt64,
    progress: (String) -> Void = { _ in }
  ) throws -> SpeedBenchmark {
    let device = try execution.prepare()
    let generator = Generator(seed: seed)
    let network = NetworkClassifier(try architecture.make(generator: generator), architecture: architecture, normalization: nil)
    network.move(to: device)
    network.execution = execution
    let shape = try architecture.inputShape()
    let images = Tensor.rand([batchSize] + shape, generator: generator).to(device).contiguous(execution.memoryFormat.format)
    let classes = try architecture.resolvedOptions()["classes"] ?? 10
    let labels = Tensor.randint(0..<classes, [batchSize], generator: generator).to(device)
    let batch = TrainingBatch(images: images, labels: labels, indices: Tensor.arange(0..<batchSize), epoch: 0)
    let maximizer = InnerMaximizer(threat: try ThreatModel(epsilon: 8.0 / 255), steps: attackSteps, stepSize: 2.0 / 255)
    // The rate is too small to change the weights, so all repetitions are alike.
    let update = WeightUpdate(network, SGD(network.module.parameters, learningRate: 1e-12, momentum: 0.9, weightDecay: 5e-4))
    var parts: [Part] = []
    func time(_ name: String, _ body: () throws -> Void) throws {
      progress(name)
      let times = try repeated(for: seconds, on: device, body)
      let median = times.sorted()[times.count / 2]
      parts.append(Part(name: name, seconds: median, samplesPerSecond: Double(batchSize) / median, repetitions: times.count))
    }
    try network.withPreparedWeights(for: images) {
      try time("forward") { try withNoGrad { _ = try network.logits(images) } }
      try time("gradient") {
        let input = images.detached().requireGrad()
        _ = try inputGradient(of: network.logits(input).crossEntropy(labels), at: input)
      }
    }
    network.module.setTraining(true)
    try time("update") { _ = try update.crossEntropy(batch, .unperturbed(batch, steps: 0), maximizer.threat) }
    try time("at") {
      let examples = try maximizer.examples(network, batch, generator: generator)
      _ = try update.crossEntropy(batch, examples, maximizer.threat)
    }
    return SpeedBenchmark(
      model: architecture.name, parameters: network.module.parameterCount, inputShape: shape, batchSize: batchSize,
      attackSteps: attackSteps, device: "\(device)", threads: Torch.threadCount, precision: execution.precision, parts: parts)
  }

  /// Returns the seconds of each repetition, without the first, which warms up.
  private static func repeated(for seconds: Double, on device: Device, _ body: () throws -> Void) throws -> [Double] {
    let clock = ContinuousClock()
    func time() throws -> Double {
      let start = clock.now
      try body()
      try device.synchronize()
      return (clock.now - start) / .seconds(1)
    }
    _ = try time()
    var times: [Double] = []
    while times.count < 3 || times.reduce(0, +) < seconds { times.append(try time()) }
    return times
  }
}
