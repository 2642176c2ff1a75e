import ArgumentParser
import SAT

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure how fast a network is here.",
    discussion: """
      Times a batch of random images: a forward pass, a pass with the gradient of the images, which is a step of an attack, an update of
      the weights, and a batch of adversarial training. An epoch takes the number of images divided by the images a second of the last.

      Examples:
        sat bench
        sat bench --model prn20 --steps 10 --threads 2
        sat bench --model wrn34-10 --batch-size 64 --precision bf16 --json
      """)

  @Option(help: ArgumentHelp("The network; `sat models` lists them.", valueName: "name"))
  var model = "mnist-cnn"

  @Option(
    name: .customLong("model-option"),
    help: ArgumentHelp("Option of the network, such as classes=100; may be repeated.", valueName: "key=value"))
  var modelOptions: [String] = []

  @Option(help: ArgumentHelp("Images in a batch.", valueName: "n"))
  var batchSize = 128

  @Option(help: ArgumentHelp("Steps of the perturbation.", valueName: "n"))
  var steps = 10

  @Option(help: ArgumentHelp("Time to spend on each of the four.", valueName: "s"))
  var seconds = 2.0

  @Option(help: ArgumentHelp("Seed of every draw.", valueName: "n"))
  var seed: UInt64 = 0

  @OptionGroup var execution: ExecutionOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try check("--batch-size", batchSize, in: Limit.batchSize)
    try check("--steps", steps, in: Limit.steps)
    try check("--seconds", seconds, in: 0.01...3600)
  }

  func run() throws {
    try output.begin()
    let benchmark = try SpeedBenchmark.measure(
      Architecture(name: model, options: try ArchitectureOptions.parsed(modelOptions)), batchSize: batchSize, attackSteps: steps,
      execution: execution.applied(), seconds: seconds, seed: seed
    ) { Terminal.standardError.line("measuring \($0)") }
    try output.deliver(benchmark, text: SpeedTable(benchmark).description)
  }
}
