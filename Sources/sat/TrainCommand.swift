import ArgumentParser
import Foundation
import SAT
import SwiftTorch

struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train", abstract: "Train a robust network from a preset.",
    discussion: """
      A preset holds every setting of a run. --config changes it first, then the other options, then --set. Ctrl-C saves the run \
      and stops it; --resume continues it.

      The run folder holds the whole configuration (config.yaml), one line per epoch (metrics.jsonl), TensorBoard events, and the \
      checkpoints best and last. With averaging.kind ema or swa, the checkpoints hold averaged weights.

      EXAMPLES:
        sat train --list
        sat train digits
        sat train digits --method at --run runs/plain-at
        sat train digits --method trades --set methodOptions.beta=3 --awp 0.005
        sat train mnist-0.3 --epsilon 0.4 --set optimizer.learningRate=0.005
        sat train --run runs/plain-at --resume
        sat train digits --from runs/plain-at --run runs/tuned --epochs 3
        sat train digits --set averaging.kind=ema --set optimizer.maxGradientNorm=1
      """)

  @Argument(help: "Preset to start from. `--list` shows the presets.") var preset: String?
  @Flag(help: "List the presets and the methods.") var list = false
  @Option(help: .value("file", "YAML file of settings that change the preset.")) var config: String?
  @Option(help: "Training method. Default: the preset's. `--list` shows the methods.") var method: String?

  @Option(
    help: .value("gamma", "Relative size of adversarial weight perturbation, such as 0.01; 0 turns it off. Default: the preset's."))
  var awp: Double?

  @Option(help: .value("name|path", "Data set, or path of a file or folder of images. Default: the preset's.")) var data: String?

  @Option(help: .value("radius", "Radius of the perturbations, such as 8/255 or 0.3. Default: the preset's."))
  var epsilon: Fraction?

  @Option(help: "Norm of the perturbations: linf, l2 or l1. Default: the preset's.") var norm: Norm?
  @Option(help: .value("n", "Epochs to train. Default: the preset's.")) var epochs: Int?
  @Option(help: .value("n", "Samples in a batch. Default: the preset's.")) var batchSize: Int?

  @Option(
    help: .value(
      "model",
      "Model that gives the first weights: a run folder, a .safetensors file or a PyTorch state_dict. Default: random weights."))
  var from: String?

  @OptionGroup var architecture: ArchitectureOptions

  @Option(name: .customLong("set"), help: .value("key=value", "Change any setting, such as attack.steps=20. May be repeated."))
  var settings: [String] = []

  @Option(help: .value("n", "Seed of every random draw. Default: 0.")) var seed: UInt64?
  @Option(name: .customLong("run"), help: .value("dir", "Folder of the run. Default: runs/PRESET-METHOD.")) var folder: String?

  @Flag(
    help: """
      Continue from the run's last checkpoint. Checkpoints, logs, smoothness, device, threads, precision and memory format may \
      change. Epochs may change unless the learning rate depends on them.
      """) var resume = false

  @Flag(help: "Write steps.jsonl with one line per update of the weights.") var logSteps = false

  @Option(
    help: .value(
      "n",
      """
      Measure the loss's smoothness every n epochs and after the last: largest Hessian eigenvalue, trace, gradient norm. \
      Default: 0, never.
      """))
  var trackSmoothness: Int?

  @OptionGroup var execution: ExecutionOptions

  enum AttackPrecision: String, ExpressibleByArgument, CaseIterable { case fp32, bf16, auto }

  @Option(
    help: """
      Precision of the passes that make perturbations: fp32, bf16 or auto. auto chooses bf16 if the CPU has instructions for it, \
      else fp32. Default: the value of --precision.
      """) var attackPrecision: AttackPrecision?

  @OptionGroup var dataOptions: DataOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    if list { return }
    if preset == nil && !(resume && folder != nil) {
      throw ValidationError("The preset is missing; name one that `sat train --list` shows, or give --resume with --run.")
    }
  }

  mutating func run() throws {
    if list { return try printList() }
    let (configuration, folder) = try resolve()
    let inputs = InputFiles.files([config]) + .model(from) + .model(folder.path) + .data(configuration.data, root: dataOptions.root)
    try output.begin("reading \(configuration.data)", reading: inputs, making: folder.path)
    let trainer = try Trainer(configuration, dataRoot: dataOptions.root, folder: folder, resume: resume)
    let display = TrainingDisplay(trainer)
    if let warning = trainer.unfinishedSchedule { display.warn(warning) }
    Interruption.listen { [folder] in folder.keptText }
    let ending = try trainer.run(observer: display) { Interruption.isRequested }
    if ending == .interrupted {
      Terminal.standardError.warn("interrupted; \(display.savedText)")
      throw ExitCode(130)
    }
    try output.deliver(TrainingSummary(trainer), text: TrainingSummary(trainer).text)
  }

  private func resolve() throws -> (TrainingConfiguration, RunFolder) {
    if resume {
      let folder = RunFolder(try self.folder ?? defaultRun(applyingOptions(to: presetConfiguration())))
      guard folder.exists else {
        throw SATError(
          "\(folder.path) holds no run to resume, because it has no config.yaml; check --run, or start a new run without --resume")
      }
      let saved = try ConfigurationFile.read(folder.configurationPath)
      var wanted = try applyingOptions(to: saved)
      // A changed configuration would be another run. `differences` allows a longer run and another device.
      let changes = try wanted.differences(from: saved)
      guard changes.isEmpty else {
        throw SATError(
          "the options change the configuration of \(folder.path), which a resumed run keeps: \(changes.joined(separator: ", ")); "
            + "leave them out, or train in a new folder without --resume")
      }
      if let preset, preset != saved.preset {
        throw SATError(
          "\(folder.path) is a run of the preset \(saved.preset), not of \(preset); leave the preset out, or train in a new folder "
            + "without --resume")
      }
      wanted.preset = saved.preset
      return (try wanted.validated(), folder)
    }
    let configuration = try applyingOptions(to: presetConfiguration()).validated()
    let folder = RunFolder(self.folder ?? defaultRun(configuration))
    guard !folder.exists else {
      throw SATError("\(folder.path) already holds a run; continue it with --resume, name another folder with --run, or delete it")
    }
    return (configuration, folder)
  }

  /// Returns the preset, adapted to the method that --set, --method or the file chooses.
  private func presetConfiguration() throws -> TrainingConfiguration {
    let setting = settings.compactMap(nameAndValue).last { $0.name == "method" }?.value
    let file = try config.flatMap { try ConfigurationFile.method(inFileAt: $0) }
    return try Presets.configuration(named: preset ?? "", method: setting ?? method ?? file)
  }

  private func defaultRun(_ configuration: TrainingConfiguration) -> String {
    "runs/\(configuration.preset)-\(configuration.method)\(configuration.awp.gamma > 0 ? "-awp" : "")"
  }

  /// Applies the changes of the command line to a configuration, without validating it.
  private func applyingOptions(to base: TrainingConfiguration) throws -> TrainingConfiguration {
    var result = base
    if let config { result = try ConfigurationFile.apply(fileAt: config, to: result) }
    if let method { result.method = method }
    if let awp { result.awp.gamma = awp }
    if let data { result.data = data }
    if let epsilon { result.threat.epsilon = epsilon }
    if let norm { result.threat.norm = norm }
    if let epochs { result.epochs = epochs }
    if let batchSize { result.batchSize = batchSize }
    if let model = try architecture.architecture() { result.model = model }
    if let from { result.from = from }
    if !architecture.normalize.isEmpty { result.normalization = architecture.normalize.joined(separator: " ") }
    if let seed { result.seed = seed }
    if logSteps { result.logSteps = true }
    if let trackSmoothness { result.smoothness.every = trackSmoothness }
    result.execution = execution.applied(to: result.execution)
    switch attackPrecision {
    case nil: break
    case .fp32: result.execution.attackPrecision = .fp32
    case .bf16: result.execution.attackPrecision = .bf16
    case .auto: try result.execution.chooseAttackPrecision()
    }
    for setting in settings { result = try ConfigurationFile.apply(setting: setting, to: result) }
    return result
  }

  private func printList() throws {
    try output.begin()
    struct Entry: Encodable {
      var name: String
      var summary: String
    }
    struct Listing: Encodable {
      var format = "sat-train-list/1"
      var presets: [Entry]
      var methods: [Entry]
    }
    let presets = Presets.entries.map { Entry(name: $0.name, summary: $0.summary) }
    let methods = DefenseRegistry.entries.map { Entry(name: $0.name, summary: $0.summary) }
    func table(_ title: String, _ entries: [Entry]) -> String {
      TextTable([[title, ""]] + entries.map { [$0.name, $0.summary] }, leftColumns: 2).description
    }
    try output.deliver(
      Listing(presets: presets, methods: methods), text: table("preset", presets) + "\n" + table("method", methods))
  }
}
