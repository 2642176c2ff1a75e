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
    progress: (String) -> Void = { _ in }
  ) throws {
    let device = try execution.prepare()
    let generator = Generator(seed: seed)
    let network = NetworkClassifier(try architecture.make(generator: generator), architecture: architecture, normalization: nil)
    network.move(to: device)
    network.execution = execution
    let shape = try architecture.inputShape()
    let images = Tensor.rand([batchSize] + shape, generator: generator).to(device).contiguous(execution.memoryFormat.format)
    let classes = try architecture.resolvedOptions()["classes"] ?? 10
    let batch = TrainingBatch(
      images: images, labels: Tensor.randint(0..<classes, [batchSize], generator: generator).to(device), indices: Tensor.arange(0..<batchSize), epoch: 0)
    let maximizer = InnerMaximizer(threat: try ThreatModel(epsilon: 8.0 / 255), steps: attackSteps, stepSize: 2.0 / 255)
    // A rate at which the weights stay what they are, so that every repetition is alike.
    let update = WeightUpdate(network, SGD(network.module.parameters, learningRate: 1e-12, momentum: 0.9, weightDecay: 5e-4))

    func measure(_ name: String, _ body: () throws -> Void) throws -> Part {
      progress(name)
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
      let median = times.sorted()[times.count / 2]
      return Part(name: name, seconds: median, samplesPerSecond: Double(batchSize) / median, repetitions: times.count)
    }
    parts = try network.withPreparedWeights(inputShape: shape) {
      [
        try measure("forward") { try withNoGrad { _ = try network.logits(images) } },
        try measure("gradient") {
          let input = images.detached().requireGrad()
          _ = try inputGradient(of: network.logits(input).crossEntropy(batch.labels), at: input)
        },
      ]
    }
    network.module.setTraining(true)
    let clean = InnerMaximizer.Outcome.unperturbed(batch, steps: 0)
    parts.append(try measure("update") { _ = try update.crossEntropy(batch, clean, maximizer.threat) })
    parts.append(
      try measure("at") {
        let examples = try maximizer.examples(network, batch, generator: generator)
        _ = try update.crossEntropy(batch, examples, maximizer.threat)
      })
    (model, parameters, inputShape) = (architecture.name, network.module.parameterCount, shape)
    (self.batchSize, self.attackSteps, precision) = (batchSize, attackSteps, execution.precision)
    (self.device, threads) = ("\(device)", Torch.threadCount)
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
