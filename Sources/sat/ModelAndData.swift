import ArgumentParser
import SAT
import SwiftTorch

/// Which checkpoint of a run folder is meant.
struct CheckpointChoice: ParsableArguments {
  @Option(help: "Which checkpoint of a run folder: best or last. Default: best.")
  var checkpoint: RunFolder.Checkpoint?

  /// - Throws: `SATError` when no model is there, `ValidationError` when there is one only and a checkpoint was asked for.
  func name(in path: String) throws -> String {
    let name = (checkpoint ?? .best).rawValue
    let file = try ModelFile.find(path, checkpoint: name)
    if checkpoint != nil, file == path || file == "\(path)/\(ModelFile.weightsName)" {
      throw ValidationError("--checkpoint \(name) chooses within the folder of a run, and \(path) is one model; leave it out.")
    }
    return name
  }
}

/// The options that name a model and the images it is asked about, and load both.
struct ModelAndData: ParsableArguments {
  @Argument(help: ArgumentHelp("Run folder or model file.", valueName: "model"))
  var path: String

  @OptionGroup var choice: CheckpointChoice

  @OptionGroup var architecture: ArchitectureOptions
  @OptionGroup var selection: DataSelection

  @Option(help: ArgumentHelp("Seed of every draw.", valueName: "n"))
  var seed: UInt64 = 0

  @OptionGroup var execution: ExecutionOptions
  @OptionGroup var dataOptions: DataOptions

  /// What the options name, on its device, in evaluation mode.
  struct Loaded {
    var model: LoadedModel
    var data: ImageDataset
    var device: Device
    var execution: Execution
    /// The configuration of the run, where it is one.
    var trained: TrainingConfiguration?
  }

  /// All that is read.
  var inputs: InputFiles {
    let run = RunFolder(path)
    let source = selection.data ?? (run.exists ? (try? ConfigurationFile.read(run.configurationPath))?.data : nil)
    return .model(path) + .data(source, root: dataOptions.root)
  }

  /// - Parameter layout: of the memory on the CPU, where none was asked for.
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
      throw SATError("no data were named; say with --data which images to use, such as --data mnist or --data images.npz")
    }
    let data = try selection.load(source, root: dataOptions.root)
    model.classifier.execution = settings
    try model.check(data, device: device)
    for note in model.notes { Terminal.standardError.line("\(path): \(note)") }
    return Loaded(model: model, data: data, device: device, execution: settings, trained: trained)
  }
}
