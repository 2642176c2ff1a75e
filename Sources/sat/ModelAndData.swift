import ArgumentParser
import SAT

/// The options that choose a run folder's checkpoint, and one of a file's sets of weights.
struct CheckpointChoice: ParsableArguments {
  @Option(help: "Checkpoint of a run folder: best or last. Default: best.") var checkpoint: RunFolder.Checkpoint?

  @Option(
    help: ArgumentHelp(
      "Place of the weights in a file that holds several sets of them, such as ema. Default: the model's usual place.",
      valueName: "key")) var weights: String?

  /// Returns the checkpoint to load.
  ///
  /// - Throws: `SATError` if the path holds no model, `ValidationError` if --checkpoint is given but the path holds one model only.
  func checkpoint(in path: String) throws -> RunFolder.Checkpoint {
    let chosen = checkpoint ?? .best
    let file = try ModelFile.find(path, checkpoint: chosen.rawValue)
    if checkpoint != nil, file == path || file == "\(path)/\(ModelFile.weightsName)" {
      throw ValidationError("--checkpoint \(chosen.rawValue) needs a run folder, but \(path) is one model; leave it out.")
    }
    return chosen
  }
}

/// The options that name a model and its images.
struct ModelAndData: ParsableArguments {
  @Argument(help: ArgumentHelp("Run folder or model file.", valueName: "model")) var path: String

  @OptionGroup var choice: CheckpointChoice

  @OptionGroup var architecture: ArchitectureOptions
  @OptionGroup var selection: DataSelection

  @Option(help: ArgumentHelp("Seed of every random draw.", valueName: "n")) var seed: UInt64 = 0

  @OptionGroup var execution: ExecutionOptions
  @OptionGroup var dataOptions: DataOptions

  /// The loaded model and data. The model is on its device and in evaluation mode.
  struct Loaded {
    var model: LoadedModel
    var data: ImageDataset
    /// The configuration of the run; nil if the model is not a run folder.
    var trained: TrainingConfiguration?
  }

  /// The files that the command reads.
  var inputs: InputFiles {
    let run = RunFolder(path)
    let source = selection.data ?? (run.exists ? (try? ConfigurationFile.read(run.configurationPath))?.data : nil)
    return .model(path) + .data(source, root: dataOptions.root)
  }

  /// Loads the model and the images.
  func load() throws -> Loaded {
    let run = RunFolder(path)
    let trained = run.exists ? try ConfigurationFile.read(run.configurationPath) : nil
    let model = try ModelFile.load(
      path: path, checkpoint: try choice.checkpoint(in: path), architecture: try architecture.architecture(),
      weights: choice.weights,
      normalization: try architecture.normalization(), execution: execution.applied())
    guard let source = selection.data ?? trained?.data else {
      throw SATError("no data were named; choose the images with --data, such as --data mnist or --data images.npz")
    }
    let data = try selection.load(source, root: dataOptions.root)
    try model.check(data)
    for note in model.notes { Terminal.standardError.line("\(path): \(note)") }
    return Loaded(model: model, data: data, trained: trained)
  }
}
