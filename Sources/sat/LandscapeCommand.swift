import ArgumentParser
import SAT
import SwiftTorch

extension LandscapeDirection.Vectors: ExpressibleByArgument {}

struct LandscapeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "landscape",
    abstract: "Sample a model's loss around its weights.",
    discussion: """
      The mean loss on a grid along one or two random directions of the weights, each of whose filters is as long as the filter it is
      added to (Li et al. 2018); the two are orthogonal. At position 0 the model is itself.

      --examples fixed attacks the images once, at the model itself; reattack attacks them anew at every point; clean does not.
      With --state a run that was stopped goes on where it was. The directions depend on --seed and --vectors alone, so other images or
      attacks with the same are in the same plane.

      Examples:
        sat landscape runs/digits-p-sat --first 256 --csv surface.csv
        sat landscape runs/digits-p-sat --first 256 --examples reattack --points 11 --state surface.state
        sat landscape lenet5.pt --model lenet5 --data mnist --first 512 --examples clean --dimensions 1 --points 51 --json
      """)

  enum Examples: String, ExpressibleByArgument, CaseIterable { case clean, fixed, reattack }

  @OptionGroup var subject: ModelOnImages

  @Option(help: "Which images the loss is of: clean, fixed (attacked at the model itself) or reattack (at every point).")
  var examples: Examples = .fixed

  @Option(help: ArgumentHelp("Directions: 1 for a curve, 2 for a surface.", valueName: "n"))
  var dimensions = 2

  @Option(help: ArgumentHelp("Points along each direction.", valueName: "n"))
  var points = 21

  @Option(help: ArgumentHelp("The grid reaches from -R to R along each direction.", valueName: "r"))
  var radius = 1.0

  @Option(help: "Biases and BatchNorm's factors: fixed, or scaled as one filter each.")
  var vectors: LandscapeDirection.Vectors = .fixed

  @Option(help: ArgumentHelp("Points worked on at once. Default: the threads, for networks below 5 million parameters.", valueName: "n"))
  var workers: Int?

  @Option(help: ArgumentHelp("File to keep what is done in; a stopped run goes on from it.", valueName: "file"))
  var state: String?

  @Option(help: ArgumentHelp("Write a line a point: x, y, loss, accuracy.", valueName: "file"))
  var csv: String?

  @Option(help: ArgumentHelp("Write loss, accuracy and positions as tensors to a .safetensors file.", valueName: "file"))
  var save: String?

  @OptionGroup var output: OutputOptions

  func validate() throws {
    if !(1...2).contains(dimensions) { throw ValidationError("--dimensions is \(dimensions); expected 1 or 2.") }
    try check("--points", points, in: 2...1_001)
    if !(radius > 0 && Limit.number.contains(radius)) {
      throw ValidationError("--radius is \(radius); expected more than 0, at most \(Fraction(Limit.number.upperBound)).")
    }
    if examples == .clean, let option = subject.perturbation.typed {
      throw ValidationError("\(option) needs --examples fixed or reattack.")
    }
    try check("--workers", workers, in: Limit.threads)
  }

  func run() throws {
    let terminal = Terminal.standardError
    try output.begin(writing: csv, save, state, reading: subject.options.inputs)
    let clock = ContinuousClock()
    let start = clock.now
    let loaded = try subject.load()
    let classifier = loaded.model.classifier
    let maximizer = examples == .clean ? nil : try subject.perturbation.resolved(loaded.trained).maximizer
    let weights = try loaded.model.parameters()
    guard !weights.isEmpty else {
      throw SATError("\(subject.path): the model has no parameters of a floating-point type, so its loss has no landscape")
    }
    let directions = LandscapeDirection.orthogonal(dimensions, for: weights, vectors: vectors, seed: subject.seed)
    // Draws of the attack do not depend on those of the directions.
    let attackSeed = subject.seed &* 4 &+ 1
    let batchSize = subject.batchSize ?? 128
    var images = LossLandscape.Examples.fixed(loaded.images)
    if let maximizer {
      images =
        examples == .reattack
        ? .reattacked(loaded.images, maximizer, seed: attackSeed)
        : .fixed(
          try maximizer.adversarialImages(
            classifier, loaded.images, loaded.labels, batchSize: batchSize, generator: Generator(seed: attackSeed)))
    }
    let axis = LossLandscape.Axis(start: -radius, end: radius, points: points)
    let landscape = LossLandscape(
      classifier, directions: directions, axes: Array(repeating: axis, count: dimensions), examples: images, labels: loaded.labels,
      batchSize: batchSize)
    let store = try LandscapeStore(state, identity: identity(loaded, maximizer))
    let open = (0..<landscape.count).filter { store.values[$0] == nil }
    let isSmall = weights.reduce(0) { $0 + $1.count } < 5_000_000
    Interruption.listen()
    let first = Double(landscape.count - open.count) / Double(landscape.count)
    try landscape.evaluate(open, workers: workers ?? (isSmall && !loaded.device.isCUDA ? Torch.threadCount : 1)) { point, value in
      try store.put(value, at: point)
      terminal.progress(
        "landscape", fraction: Double(store.values.count) / Double(landscape.count), from: first, since: start,
        detail: "\(store.values.count)/\(landscape.count) points")
    } shouldStop: {
      Interruption.isRequested
    }
    try store.write()
    terminal.endProgress()
    guard store.values.count == landscape.count else {
      terminal.warn(
        "interrupted after \(store.values.count) of \(landscape.count) points; "
          + (state.map { "they are kept in \($0), go on with the same command" } ?? "nothing was kept, name a file with --state to keep them"))
      throw ExitCode(130)
    }
    let document = LandscapeDocument(
      landscape, store.values, model: subject.path, data: loaded.data, examples: examples.rawValue, perturbation: maximizer,
      vectors: vectors, seed: subject.seed, seconds: (clock.now - start) / .seconds(1))
    try output.deliver(
      document, text: LandscapeTable(document).description,
      files: [
        { if let csv { try AtomicFile.write(document.csv, to: csv) } },
        { if let save { try SafeTensors(tensors: document.tensors()).write(to: save) } },
      ])
  }

  /// What the values of the grid depend on.
  private func identity(_ loaded: ModelOnImages.Subject, _ maximizer: InnerMaximizer?) throws -> [String: String] {
    let attack = maximizer.map { "\($0.threat.norm.rawValue) \($0.threat.epsilon), \($0.steps) steps of \($0.stepSize)" }
    return [
      "model": try loaded.model.fingerprint(),
      "data": String(loaded.images.fingerprint ^ loaded.labels.fingerprint, radix: 16),
      "examples": "\(examples.rawValue)\(attack.map { ", " + $0 } ?? "")", "seed": "\(subject.seed)",
      "grid": "\(dimensions) x \(points) points to \(radius), vectors \(vectors.rawValue)",
    ]
  }
}
