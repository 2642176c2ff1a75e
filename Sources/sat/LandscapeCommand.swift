import ArgumentParser
import SAT
import SwiftTorch

extension LandscapeDirection.Vectors: ExpressibleByArgument {}

struct LandscapeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "landscape", abstract: "Sample a model's loss around its weights.",
    discussion: """
      The command measures the mean loss on a grid along one or two random directions of the weights. Each filter of a direction \
      has the norm of the model's filter (Li et al. 2018). Two directions are orthogonal. Position 0 is the model itself.

      --examples fixed attacks the images once, at position 0. reattack attacks them again at every point. clean attacks nothing. \
      With --state, a stopped measurement continues. The directions depend only on --seed, --vectors and the weights, so \
      measurements of one model share a plane, even with other images or attacks.

      EXAMPLES:
        sat landscape runs/digits-p-sat --first 256 --csv surface.csv
        sat landscape runs/digits-p-sat --first 256 --examples reattack \\
          --points 11 --state surface
        sat landscape lenet5.pt --model lenet5 --data mnist --first 512 \\
          --examples clean --dimensions 1 --points 51 --json
      """)

  enum Examples: String, ExpressibleByArgument, CaseIterable { case clean, fixed, reattack }

  @OptionGroup var subject: ModelOnImages

  @Option(help: "Images: clean, fixed (attacked once, at position 0) or reattack (attacked at every point).")
  var examples: Examples = .fixed

  @Option(help: .value("n", "Number of directions: 1 for a curve, 2 for a surface.")) var dimensions = 2
  @Option(help: .value("n", "Points along each direction.")) var points = 21
  @Option(help: .value("r", "Half-width of the grid: it reaches from -R to R along each direction.")) var radius = 1.0

  @Option(help: "Biases and BatchNorm's factors: fixed, or scaled, each as one filter.")
  var vectors: LandscapeDirection.Vectors = .fixed

  @Option(help: .value("n", "Points computed at once. Default: one per thread, for networks below 5 million parameters."))
  var workers: Int?

  @Option(help: .value("dir", "Folder for the saved state. A stopped measurement continues from it.")) var state: String?
  @Option(help: .value("file", "Write one CSV line per point: x, y, loss, accuracy.")) var csv: String?
  @Option(help: .value("file", "Write loss, accuracy and positions as tensors to a .safetensors file.")) var save: String?
  @OptionGroup var output: OutputOptions

  func validate() throws {
    if !(1...2).contains(dimensions) { throw ValidationError("--dimensions is \(dimensions); expected 1 or 2.") }
    try check("--points", points, in: 2...1_001)
    if !(radius > 0 && Limit.number.contains(radius)) {
      throw ValidationError("--radius is \(radius); expected more than 0, at most \(Fraction(Limit.number.upperBound)).")
    }
    if examples == .clean, let option = subject.typedPerturbation {
      throw ValidationError("\(option) needs --examples fixed or reattack.")
    }
    try check("--workers", workers, in: Limit.threads)
  }

  func run() throws {
    try output.begin(
      "reading the model and the data", writing: csv, save, state.map(StatePlace.file), reading: subject.options.inputs,
      making: state)
    let loaded = try subject.options.load()
    var job = LandscapeJob(
      model: loaded.model, data: loaded.data, examples: try chosenExamples(loaded.trained), dimensions: dimensions,
      axis: .init(start: -radius, end: radius, points: points))
    job.vectors = vectors
    job.seed = subject.seed
    job.workers = workers
    job.state = state
    job.batchSize = subject.batchSize ?? job.batchSize
    let document = try Interruption.listening(
      keeping: "they are", in: state, otherwise: "name a folder with --state to keep the points"
    ) { display in
      try job.run(progress: display.show) { Interruption.isRequested }.document
    }
    try output.deliver(
      document, text: LandscapeTable(document).description,
      files: [
        { if let csv { try AtomicFile.write(document.csv, to: csv) } },
        { if let save { try SafeTensors(tensors: document.tensors()).write(to: save) } },
      ])
  }

  private func chosenExamples(_ trained: TrainingConfiguration?) throws -> LandscapeJob.Examples {
    if examples == .clean { return .clean }
    // The attack's draws do not depend on the directions' draws.
    let perturbation = ImagePerturbation(try subject.maximizer(trained), seed: subject.seed &* 4 &+ 1)
    return examples == .fixed ? .fixed(perturbation) : .reattacked(perturbation)
  }
}
