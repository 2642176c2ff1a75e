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

  @Option(help: "Norm of the perturbations: linf, l2 or l1. Default: the run's, else linf.")
  var norm: Norm?

  @Option(help: ArgumentHelp("Radius of the perturbations, such as 8/255 or 0.3. Default: the run's.", valueName: "radius"))
  var epsilon: Fraction?

  @Option(help: ArgumentHelp("Steps of PGD. Default: the run's, else 40.", valueName: "n"))
  var steps: Int?

  @Option(help: ArgumentHelp("Step of PGD. Default: the run's, else 2.5 * epsilon / steps.", valueName: "size"))
  var stepSize: Fraction?

  @Option(help: ArgumentHelp("Samples in a batch. Default: as many as suit, at most 128.", valueName: "n"))
  var batchSize: Int?

  @Option(help: ArgumentHelp("Seed of every draw.", valueName: "n"))
  var seed: UInt64 = 0

  @OptionGroup var execution: ExecutionOptions
  @OptionGroup var dataOptions: DataOptions

  func validate() throws {
    if let steps, steps < 1 { throw ValidationError("--steps is \(steps); expected at least 1.") }
    if let stepSize, stepSize.value <= 0 { throw ValidationError("--step-size is \(stepSize); expected more than 0.") }
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

  /// PGD as the options or the run say.
  func maximizer(_ trained: TrainingConfiguration?) throws -> InnerMaximizer {
    guard let radius = epsilon ?? trained?.threat.epsilon else {
      throw SATError("no epsilon was given; say with --epsilon how far images may be changed, such as --epsilon 8/255")
    }
    let threat = try ThreatModel(norm: norm ?? trained?.threat.norm ?? .linf, epsilon: radius.value)
    let steps = steps ?? trained?.attack.steps ?? 40
    // The run's step belongs to the run's epsilon and steps.
    let isRuns = epsilon == nil && norm == nil && self.steps == nil
    let size = stepSize?.value ?? (isRuns ? trained?.attack.stepSize.value : nil) ?? 2.5 * threat.epsilon / Double(steps)
    return InnerMaximizer(threat: threat, steps: steps, stepSize: size)
  }
}
