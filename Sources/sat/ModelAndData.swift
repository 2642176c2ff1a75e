import ArgumentParser
import SAT
import SwiftTorch

/// The option that chooses a run folder's checkpoint.
struct CheckpointChoice: ParsableArguments {
  @Option(help: "Checkpoint of a run folder: best or last. Default: best.")
  var checkpoint: RunFolder.Checkpoint?

  /// Returns the name of the checkpoint to load.
  ///
  /// - Throws: `SATError` if the path holds no model, `ValidationError` if --checkpoint is given but the path holds one model only.
  func name(in path: String) throws -> String {
    let name = (checkpoint ?? .best).rawValue
    let file = try ModelFile.find(path, checkpoint: name)
    if checkpoint != nil, file == path || file == "\(path)/\(ModelFile.weightsName)" {
      throw ValidationError("--checkpoint \(name) needs a run folder, but \(path) is one model; leave it out.")
    }
    return name
  }
}

/// The options that name a model and its images.
struct ModelAndData: ParsableArguments {
  @Argument(help: ArgumentHelp("Run folder or model file.", valueName: "model"))
  var path: String

  @OptionGroup var choice: CheckpointChoice

  @OptionGroup var architecture: ArchitectureOptions
  @OptionGroup var selection: DataSelection

  @Option(help: ArgumentHelp("Seed of every random draw.", valueName: "n"))
  var seed: UInt64 = 0

  @OptionGroup var execution: ExecutionOptions
  @OptionGroup var dataOptions: DataOptions

  /// The loaded model and data. The model is on its device and in evaluation mode.
  struct Loaded {
    var model: LoadedModel
    var data: ImageDataset
    var device: Device
    var execution: Execution
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
  ///
  /// - Parameter layout: the memory format on the CPU under --memory-format auto.
  func load(layout: Execution.Layout = .auto) throws -> Loaded {
    let run = RunFolder(path)
    let trained = run.exists ? try ConfigurationFile.read(run.configurationPath) : nil
    let checkpoint = try choice.name(in: path)
    var settings = execution.applied()
    let device = try settings.prepare()
    if settings.memoryFormat == .auto, device == .cpu { settings.memoryFormat = layout }
    let model = try ModelFile.load(
      path: path, checkpoint: checkpoint, architecture: try architecture.architecture(),
      normalization: try architecture.normalization(), device: device)
    guard let source = selection.data ?? trained?.data else {
      throw SATError("no data were named; choose the images with --data, such as --data mnist or --data images.npz")
    }
    let data = try selection.load(source, root: dataOptions.root)
    model.classifier.execution = settings
    try model.check(data, device: device)
    for note in model.notes { Terminal.standardError.line("\(path): \(note)") }
    return Loaded(model: model, data: data, device: device, execution: settings, trained: trained)
  }
}
