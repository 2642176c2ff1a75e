import ArgumentParser
import SAT

/// The options that say how a model is loaded.
struct ModelOptions: ParsableArguments {
  @Option(help: "Checkpoint of a run folder: best or last. Default: best.") var checkpoint: RunFolder.Checkpoint?
  @OptionGroup var architecture: ArchitectureOptions

  @Option(help: .value("key", "Place of the weights in a file with several sets, such as ema. Default: the model's usual place."))
  var weights: String?

  @Flag(help: "Run a TorchScript archive even if its code could reach files, processes or the network.") var trustArchive = false

  /// Loads a model onto its device, in evaluation mode.
  ///
  /// - Throws: `SATError` if the path holds no model, `ValidationError` if --checkpoint is given but the path holds one model only.
  func load(_ path: String, execution: Execution) throws -> LoadedModel {
    let chosen = checkpoint ?? .best
    let file = try ModelFile.find(path, checkpoint: chosen)
    if checkpoint != nil, file == path || file == "\(path)/\(ModelFile.weightsName)" {
      throw ValidationError("--checkpoint \(chosen.rawValue) needs a run folder, but \(path) is one model; leave it out.")
    }
    return try ModelFile.load(
      path: path, checkpoint: chosen, architecture: architecture.architecture(), weights: weights,
      normalization: architecture.normalization(), trustsArchive: trustArchive, execution: execution)
  }
}

struct ModelAndData: ParsableArguments {
  @Argument(help: .value("model", "Run folder or model file.")) var path: String
  @OptionGroup var model: ModelOptions
  @OptionGroup var selection: DataSelection
  @Option(help: .value("n", "Seed of every random draw.")) var seed: UInt64 = 0
  @OptionGroup var execution: ExecutionOptions
  @OptionGroup var dataOptions: DataOptions

  struct Loaded {
    var model: LoadedModel
    var data: ImageDataset
    /// The configuration of the run; nil if the model is not a run folder.
    var trained: TrainingConfiguration?
  }

  /// The files that the command reads.
  var inputs: InputFiles { .model(path) + .data(selection.data ?? (try? configuration())?.data, root: dataOptions.root) }

  private func configuration() throws -> TrainingConfiguration? {
    let run = RunFolder(path)
    return run.exists ? try ConfigurationFile.read(run.configurationPath) : nil
  }

  func load() throws -> Loaded {
    let trained = try configuration()
    let model = try model.load(path, execution: execution.applied())
    guard let source = selection.data ?? trained?.data else {
      throw SATError("no data were named; choose the images with --data, such as --data mnist or --data images.npz")
    }
    let data = try selection.load(source, root: dataOptions.root, for: model)
    try model.check(data)
    for note in model.notes { Terminal.standardError.line("\(path): \(note)") }
    return Loaded(model: model, data: data, trained: trained)
  }
}

/// The options that name a model and the images, clean or perturbed, at which its loss is measured.
struct ModelOnImages: ParsableArguments {
  @OptionGroup var options: ModelAndData
  @OptionGroup private var perturbation: PerturbationOptions
  @Option(help: .value("n", "Steps of PGD. Default: the run's, else \(PGD.defaultSteps).")) private var steps: Int?
  @Option(help: .value("n", "Samples in a batch. Default: 128.")) var batchSize: Int?

  var seed: UInt64 { options.seed }
  /// The first option of the perturbation that the command line gives; nil for none.
  var typedPerturbation: String? { perturbation.typed(steps: steps) }

  /// Returns the PGD that the options set; the run's values replace absent options.
  func maximizer(_ trained: TrainingConfiguration?) throws -> InnerMaximizer {
    try perturbation.resolved(trained, steps: steps).maximizer
  }

  func validate() throws {
    try check("--steps", steps, in: Limit.steps)
    try check("--batch-size", batchSize, in: Limit.batchSize)
    if options.execution.precision == .bf16 {
      throw ValidationError("--precision bf16 is too coarse to measure the shape of a loss; remove it.")
    }
  }
}
