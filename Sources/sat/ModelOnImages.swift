import ArgumentParser
import SAT
import SwiftTorch

/// A model and the images its loss surface is looked at on, clean or perturbed.
struct ModelOnImages: ParsableArguments {
  enum Place: String, ExpressibleByArgument, CaseIterable { case clean, adversarial }

  @Argument(help: ArgumentHelp("Run folder or model file.", valueName: "model"))
  var path: String

  @Option(help: "Which checkpoint of a run folder: best or last.")
  var checkpoint: RunFolder.Checkpoint = .best

  @OptionGroup var architecture: ArchitectureOptions
  @OptionGroup var selection: DataSelection

  @OptionGroup var perturbation: PerturbationOptions

  @Option(help: ArgumentHelp("Samples in a batch. Default: as many as suit, at most 128.", valueName: "n"))
  var batchSize: Int?

  @Option(help: ArgumentHelp("Seed of every draw.", valueName: "n"))
  var seed: UInt64 = 0

  @OptionGroup var execution: ExecutionOptions
  @OptionGroup var dataOptions: DataOptions

  func validate() throws {
    if let batchSize, batchSize < 1 { throw ValidationError("--batch-size is \(batchSize); expected at least 1.") }
    if execution.precision == .bf16 {
      throw ValidationError("--precision bf16 is too coarse for the shape of a loss; leave it out.")
    }
  }

  /// What the options name, on its device, in evaluation mode.
  struct Subject {
    var model: LoadedModel
    var data: ImageDataset
    var device: Device
    var layout: MemoryFormat
    /// The configuration of the run, where it is one.
    var trained: TrainingConfiguration?
    /// [N, C, H, W], float32.
    var images: Tensor
    var labels: Tensor
  }

  func load() throws -> Subject {
    let run = RunFolder(path)
    let trained = run.exists ? try ConfigurationFile.read(run.configurationPath) : nil
    var settings = execution.applied()
    let device = try settings.prepare()
    // Second derivatives on the CPU are 5 to 15 % faster in this order, as measured.
    if settings.memoryFormat == .auto, device == .cpu { settings.memoryFormat = .contiguous }
    guard let source = selection.data ?? trained?.data else {
      throw SATError("no data were named; say with --data which images to use, such as --data mnist or --data images.npz")
    }
    let data = try selection.load(source, root: dataOptions.root)
    let model = try ModelFile.load(
      path: path, checkpoint: checkpoint.rawValue, architecture: try architecture.architecture(),
      normalization: try architecture.normalization(), device: device)
    model.classifier.execution = settings
    try model.check(data, device: device)
    for note in model.notes { Terminal.standardError.line("\(path): \(note)") }
    let layout = settings.memoryFormat.format
    let (images, labels) = try data.batch(0..<data.count)
    return Subject(
      model: model, data: data, device: device, layout: layout, trained: trained, images: images.to(device).contiguous(layout),
      labels: labels.to(device))
  }
}
