internal import Foundation
internal import SwiftTorch

/// How fast a network is here, from which follows what training or an attack will take before it is begun.
///
/// Images and labels are random and every sample moves at every step, so the times are those of AT, the slowest a curriculum gets.
public struct SpeedBenchmark: Encodable, Sendable {
  /// Something that is done to a batch.
  public struct Part: Encodable, Sendable, Equatable {
    public var name: String
    /// For a batch, the median of the repetitions.
    public var seconds: Double
    public var samplesPerSecond: Double
    public var repetitions: Int
  }

  public var format = "sat-bench/1"
  public var model: String
  public var parameters: Int
  /// [C, H, W].
  public var inputShape: [Int]
  public var batchSize: Int
  /// Of the perturbation in "at".
  public var attackSteps: Int
  public var device: String
  public var threads: Int
  public var precision: Execution.Precision
  /// "forward": logits. "gradient": logits and the gradient with respect to the images, as a step of an attack takes them. "update": of
  /// the weights, on images as they are. "at": a batch of adversarial training, perturbation and update.
  public var parts: [Part]

  /// - Parameters:
  ///   - seconds: to spend on each part, after one repetition that is not counted; three are counted at least.
  ///   - progress: hears which part is measured.
  /// - Throws: a sentence for a network or a device that is not known.
  public init(
    _ architecture: Architecture, batchSize: Int, attackSteps: Int, execution: Execution, seconds: Double, seed: UInt64,
    progress: @escaping (String) -> Void = { _ in }
  ) throws {
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
    let stopwatch = Stopwatch(device: device, batchSize: batchSize, seconds: seconds, progress: progress)
    parts = try stopwatch.passes(network, batch) + stopwatch.updates(network, batch, attackSteps: attackSteps, generator)
    model = architecture.name
    parameters = network.module.parameterCount
    inputShape = shape
    self.batchSize = batchSize
    self.attackSteps = attackSteps
    self.device = "\(device)"
    threads = Torch.threadCount
    precision = execution.precision
  }

  /// As a table.
  public var text: String {
    let titles = [
      "forward": "forward", "gradient": "gradient of the images", "update": "update of the weights", "at": "AT with \(attackSteps) steps",
    ]
    let rows = parts.map { part in
      [titles[part.name] ?? part.name, decimal(1000 * part.seconds, 2), decimal(part.samplesPerSecond, 0), "\(part.repetitions)"]
    }
    return "\(model), \(parameters) parameters, \(batchSize) images of \(inputShape.map(String.init).joined(separator: "x")) a batch; "
      + "\(device), \(threads) threads, \(precision.rawValue)\n"
      + TextTable([["", "ms a batch", "images a second", "repetitions"]] + rows).description
  }
}

/// Measures what is done to a batch, again and again.
private struct Stopwatch {
  let device: Device
  let batchSize: Int
  /// To spend on each part.
  let seconds: Double
  let progress: (String) -> Void

  /// "forward" and "gradient".
  func passes(_ network: NetworkClassifier, _ batch: TrainingBatch) throws -> [SpeedBenchmark.Part] {
    try network.withPreparedWeights(for: batch.images) {
      [
        try measure("forward") { try withNoGrad { _ = try network.logits(batch.images) } },
        try measure("gradient") {
          let input = batch.images.detached().requireGrad()
          _ = try inputGradient(of: network.logits(input).crossEntropy(batch.labels), at: input)
        },
      ]
    }
  }

  /// "update" and "at".
  func updates(
    _ network: NetworkClassifier, _ batch: TrainingBatch, attackSteps: Int, _ generator: Generator
  ) throws -> [SpeedBenchmark.Part] {
    let maximizer = InnerMaximizer(threat: try ThreatModel(epsilon: 8.0 / 255), steps: attackSteps, stepSize: 2.0 / 255)
    // A rate at which the weights stay what they are, so that every repetition is alike.
    let update = WeightUpdate(network, SGD(network.module.parameters, learningRate: 1e-12, momentum: 0.9, weightDecay: 5e-4))
    let clean = InnerMaximizer.Outcome.unperturbed(batch, steps: 0)
    network.module.setTraining(true)
    return [
      try measure("update") { _ = try update.crossEntropy(batch, clean, maximizer.threat) },
      try measure("at") {
        let examples = try maximizer.examples(network, batch, generator: generator)
        _ = try update.crossEntropy(batch, examples, maximizer.threat)
      },
    ]
  }

  private func measure(_ name: String, _ body: () throws -> Void) throws -> SpeedBenchmark.Part {
    progress(name)
    _ = try time(body)
    var times: [Double] = []
    while times.count < 3 || times.reduce(0, +) < seconds { times.append(try time(body)) }
    let median = times.sorted()[times.count / 2]
    return SpeedBenchmark.Part(
      name: name, seconds: median, samplesPerSecond: Double(batchSize) / median, repetitions: times.count)
  }

  private func time(_ body: () throws -> Void) throws -> Double {
    let clock = ContinuousClock()
    let start = clock.now
    try body()
    try device.synchronize()
    return (clock.now - start) / .seconds(1)
  }
}
