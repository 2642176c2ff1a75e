import ArgumentParser
import Foundation
import SAT
import SwiftTorch

struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a network against perturbations, from a preset.",
    discussion: """
      The preset's values can be changed by a YAML file (--config), then by options, then by --set. The whole configuration is
      saved with the run. The run folder holds config.yaml, metrics.jsonl (a line an epoch), TensorBoard events and the checkpoints best
      and last. With averaging.kind ema or swa they hold the averaged weights. Ctrl-C keeps everything up to that moment.

      Examples:
        sat train --list
        sat train digits
        sat train digits --method at --run runs/plain-at
        sat train digits --method trades --set methodOptions.beta=3 --awp 0.005
        sat train mnist-0.3 --epsilon 0.4 --set optimizer.learningRate=0.005
        sat train --run runs/plain-at --resume
        sat train digits --from runs/plain-at --run runs/tuned --epochs 3
        sat train digits --set averaging.kind=ema --set optimizer.maxGradientNorm=1
      """)

  @Argument(help: "The preset to start from; `--list` shows them.")
  var preset: String?

  @Flag(help: "List the presets and the methods.")
  var list = false

  @Option(help: ArgumentHelp("YAML file with values to change.", valueName: "file"))
  var config: String?

  @Option(help: "The method; `--list` shows them.")
  var method: String?

  @Option(
    help: ArgumentHelp("Adversarial weight perturbation of this relative size around the method, such as 0.01.", valueName: "gamma"))
  var awp: Double?

  @Option(help: ArgumentHelp("Data set, or a .safetensors or .npz file.", valueName: "name|path"))
  var data: String?

  @Option(help: ArgumentHelp("Radius of the perturbations, such as 8/255 or 0.3.", valueName: "radius"))
  var epsilon: Fraction?

  @Option(help: "Norm of the perturbations: linf, l2 or l1.")
  var norm: Norm?

  @Option(help: ArgumentHelp("Epochs to train.", valueName: "n"))
  var epochs: Int?

  @Option(help: ArgumentHelp("Samples in a batch.", valueName: "n"))
  var batchSize: Int?

  @Option(help: ArgumentHelp("Go on from this model's weights: a run, a .safetensors file or a PyTorch state_dict.", valueName: "model"))
  var from: String?

  @OptionGroup var architecture: ArchitectureOptions

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp("Change any value, such as attack.steps=20; may be repeated.", valueName: "key=value"))
  var settings: [String] = []

  @Option(help: ArgumentHelp("Seed of every draw. Default: 0.", valueName: "n"))
  var seed: UInt64?

  @Option(name: .customLong("run"), help: ArgumentHelp("Folder of the run. Default: runs/PRESET-METHOD.", valueName: "dir"))
  var folder: String?

  @Flag(help: "Go on from the run's last checkpoint.")
  var resume = false

  @Flag(help: "Write steps.jsonl, a line at every update of the weights.")
  var logSteps = false

  @Option(
    help: ArgumentHelp(
      "Measure the loss's smoothness (Fig. 4: largest Hessian eigenvalue, trace, gradient norm) every n epochs and after the last; 0: never.",
      valueName: "n"))
  var trackSmoothness: Int?

  @OptionGroup var execution: ExecutionOptions

  enum AttackPrecision: String, ExpressibleByArgument, CaseIterable { case fp32, bf16, auto }

  @Option(
    help: "Precision of the passes that make perturbations; auto: bf16 on a CPU with instructions for it, else fp32. Default: that of --precision.")
  var attackPrecision: AttackPrecision?

  @OptionGroup var dataOptions: DataOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    if list { return }
    if preset == nil && !(resume && folder != nil) {
      throw ValidationError("Name a preset, or --resume with --run; `sat train --list` shows the presets.")
    }
  }

  mutating func run() throws {
    if list { return try printList() }
    let (configuration, folder) = try resolve()
    try output.begin(
      reading: .files([config]) + .model(from) + .model(folder.path) + .data(configuration.data, root: dataOptions.root), making: folder.path)
    let trainer = try Trainer(configuration, dataRoot: dataOptions.root, folder: folder, resume: resume)
    let display = TrainingDisplay(trainer)
    display.begin()
    if let warning = trainer.unfinishedSchedule { display.warn(warning) }
    Interruption.listen()
    let ending = try trainer.run(observer: display) { Interruption.isRequested }
    if ending == .interrupted {
      Terminal.standardError.warn("interrupted; \(display.kept)")
      throw ExitCode(130)
    }
    try output.deliver(TrainingSummary(trainer), text: TrainingSummary(trainer).text)
  }

  /// The configuration and the folder that the command line asks for.
  private func resolve() throws -> (TrainingConfiguration, RunFolder) {
    if resume {
      let folder = RunFolder(try self.folder ?? defaultRun(changed(base())))
      guard folder.exists else {
        throw SATError("\(folder.path) holds no run to resume; expected its config.yaml, so check --run or start without --resume")
      }
      let saved = try ConfigurationFile.read(folder.configurationPath)
      var wanted = try changed(saved)
      try refuseChanges(from: saved, to: wanted, folder)
      if let preset, preset != saved.preset {
        throw SATError(
          "\(folder.path) is a run of the preset \(saved.preset), not of \(preset); leave the preset out or start another run with --run")
      }
      wanted.preset = saved.preset
      return (try wanted.validated(), folder)
    }
    let configuration = try changed(base()).validated()
    let folder = RunFolder(self.folder ?? defaultRun(configuration))
    guard !folder.exists else {
      throw SATError("\(folder.path) already holds a run; go on with --resume, choose another folder with --run, or delete it")
    }
    return (configuration, folder)
  }

  /// The preset, fitted to the method that the file, the option or a setting chooses.
  private func base() throws -> TrainingConfiguration {
    let prefix = "method="
    let set = settings.last { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
    let file = try config.flatMap { try ConfigurationFile.method(inFileAt: $0) }
    return try Presets.configuration(named: preset ?? "", method: set ?? method ?? file)
  }

  private func defaultRun(_ configuration: TrainingConfiguration) -> String {
    "runs/\(configuration.preset)-\(configuration.method)\(configuration.awp.gamma > 0 ? "-awp" : "")"
  }

  /// With the changes that the command line asks for; not yet looked at.
  private func changed(_ base: TrainingConfiguration) throws -> TrainingConfiguration {
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

  /// A resumed run may be longer and run elsewhere; anything else would make it another run.
  private func refuseChanges(from saved: TrainingConfiguration, to wanted: TrainingConfiguration, _ folder: RunFolder) throws {
    let changes = try wanted.differences(from: saved)
    guard changes.isEmpty else {
      throw SATError(
        "the options change the configuration of \(folder.path): \(changes.joined(separator: ", ")); a resumed run keeps it (only epochs, "
          + "unless the learning rate follows them, checkpoints, logs, device, threads, precision and memory format may differ), so leave them "
          + "out or start another run with --run")
    }
  }

  private func printList() throws {
    try output.begin()
    struct Listing: Encodable {
      struct Entry: Encodable {
        var name: String
        var summary: String
      }
      var format = "sat-train-list/1"
      var presets: [Entry]
      var methods: [Entry]
    }
    let presets = Presets.entries.map { Listing.Entry(name: $0.name, summary: $0.summary) }
    let methods = DefenseRegistry.entries.map { Listing.Entry(name: $0.name, summary: $0.summary) }
    func table(_ title: String, _ entries: [Listing.Entry]) -> String {
      TextTable([[title, ""]] + entries.map { [$0.name, $0.summary] }, leftColumns: 2).description
    }
    try output.deliver(
      Listing(presets: presets, methods: methods), text: table("preset", presets) + "\n" + table("method", methods))
  }
}
