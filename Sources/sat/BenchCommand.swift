import ArgumentParser
import SAT

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measure a network's speed on this machine.",
    discussion: """
      Times four operations on a batch of random images: a forward pass, an attack step (a pass with the gradient of the images), \
      an update of the weights, and adversarial training. An epoch takes the number of images divided by the last rate.

      EXAMPLES:
        sat bench
        sat bench --model prn20 --steps 10 --threads 2
        sat bench --model wrn34-10 --batch-size 64 --precision bf16 --json
      """)

  @Option(help: .value("name", "Network to time. `sat models` lists the networks.")) var model = "mnist-cnn"

  @Option(
    name: .customLong("model-option"),
    help: .value("key=value", "Option of the network, such as classes=100. May be repeated."))
  var modelOptions: [String] = []

  @Option(help: .value("n", "Images in a batch.")) var batchSize = 128
  @Option(help: .value("n", "Attack steps of adversarial training.")) var steps = 10
  @Option(help: .value("s", "Seconds to measure each operation.")) var seconds = 2.0
  @Option(help: .value("n", "Seed of every random draw.")) var seed: UInt64 = 0
  @OptionGroup var execution: ExecutionOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try check("--batch-size", batchSize, in: Limit.batchSize)
    try check("--steps", steps, in: Limit.steps)
    try check("--seconds", seconds, in: 0.01...3600)
  }

  func run() throws {
    try output.begin("making the network")
    let benchmark = try SpeedBenchmark.measure(
      Architecture(name: model, options: try ArchitectureOptions.parsed(modelOptions)), batchSize: batchSize, attackSteps: steps,
      execution: execution.applied(), seconds: seconds, seed: seed
    ) { Terminal.standardError.line("measuring \($0)") }
    try output.deliver(benchmark, text: SpeedTable(benchmark).description)
  }
}
