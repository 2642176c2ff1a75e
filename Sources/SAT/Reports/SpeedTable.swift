/// The text `sat bench` prints for a person.
public struct SpeedTable: CustomStringConvertible {
  private let benchmark: SpeedBenchmark

  public init(_ benchmark: SpeedBenchmark) { self.benchmark = benchmark }

  public var description: String {
    let titles = [
      "forward": "forward", "gradient": "gradient of the images", "update": "update of the weights",
      "at": "AT with \(benchmark.attackSteps) steps",
    ]
    let rows = benchmark.parts.map { part in
      [titles[part.name] ?? part.name, decimal(1000 * part.seconds, 2), decimal(part.samplesPerSecond, 0), "\(part.repetitions)"]
    }
    let shape = benchmark.inputShape.map(String.init).joined(separator: "x")
    return "\(benchmark.model), \(benchmark.parameters) parameters, \(benchmark.batchSize) images of \(shape) a batch; "
      + "\(benchmark.device), \(benchmark.threads) threads, \(benchmark.precision.rawValue)\n"
      + TextTable([["", "ms a batch", "images a second", "repetitions"]] + rows).description
  }
}
