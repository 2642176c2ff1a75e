import ArgumentParser
import Foundation
import SAT
import SwiftTorch

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Measure a model's accuracy, clean and under attack.",
    discussion: """
      MODEL is a run folder, a .safetensors file of sat, a TorchScript archive, or a PyTorch state_dict (zip or legacy, with
      --model NAME); which of them is found by reading it. Of a run folder the data, the epsilon and the attack are the run's unless
      given. A sample counts as robust when it is classified correctly as it is and no attack broke it.

      Examples:
        sat evaluate runs/digits-p-sat
        sat evaluate runs/digits-p-sat --attack fgsm,pgd --steps 100 --restarts 5
        sat evaluate lenet5.pt --model lenet5 --data mnist --epsilon 0.3 --step-size 0.01 --first 500
        sat evaluate script.pt --data images.npz --epsilon 8/255 --json
      """)

  enum AttackName: String, CaseIterable { case clean, fgsm, pgd }

  @Argument(help: ArgumentHelp("Run folder or model file.", valueName: "model"))
  var path: String

  @Option(help: "Which checkpoint of a run folder: best or last.")
  var checkpoint: RunFolder.Checkpoint = .best

  @OptionGroup var architecture: ArchitectureOptions

  @Option(help: ArgumentHelp("Data set, or a .safetensors or .npz file. Default: the run's.", valueName: "name|path"))
  var data: String?

  @Option(help: "Part of the data set: train, validation or test.")
  var split: DataSource.Split = .test

  @Option(help: ArgumentHelp("Only the first N samples.", valueName: "n"))
  var first: Int?

  @Option(help: ArgumentHelp("Only the samples from a up to, not with, b.", valueName: "a:b"))
  var indices: String?

  @Option(help: ArgumentHelp("clean, fgsm, pgd, or several with commas, in order.", valueName: "names"))
  var attack = "pgd"

  @Option(help: "Norm of the perturbations: linf, l2 or l1. Default: the run's, else linf.")
  var norm: Norm?

  @Option(help: ArgumentHelp("Radius of the perturbations, such as 8/255 or 0.3. Default: the run's.", valueName: "radius"))
  var epsilon: Fraction?

  @Option(help: ArgumentHelp("Steps of PGD. Default: the run's, else 40.", valueName: "n"))
  var steps: Int?

  @Option(help: ArgumentHelp("Step of PGD. Default: the run's, else 2.5 * epsilon / steps.", valueName: "size"))
  var stepSize: Fraction?

  @Option(help: ArgumentHelp("Random starts of PGD.", valueName: "n"))
  var restarts = 1

  @Option(help: ArgumentHelp("Samples in a batch.", valueName: "n"))
  var batchSize = 128

  @Option(help: ArgumentHelp("Seed of every draw.", valueName: "n"))
  var seed: UInt64 = 0

  @Option(
    help: ArgumentHelp(
      "Write images and labels, the broken ones as the attack left them, to a .safetensors file.", valueName: "file"))
  var save: String?

  @OptionGroup var execution: ExecutionOptions
  @OptionGroup var dataOptions: DataOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    if let first, first < 1 { throw ValidationError("--first is \(first); expected at least 1.") }
    if first != nil && indices != nil { throw ValidationError("--first and --indices exclude each other.") }
    if let steps, steps < 1 { throw ValidationError("--steps is \(steps); expected at least 1.") }
    if let stepSize, stepSize.value <= 0 { throw ValidationError("--step-size is \(stepSize); expected more than 0.") }
    if restarts < 1 { throw ValidationError("--restarts is \(restarts); expected at least 1.") }
    if batchSize < 1 { throw ValidationError("--batch-size is \(batchSize); expected at least 1.") }
    _ = try range()
    _ = try attackNames()
  }

  private func attackNames() throws -> [AttackName] {
    try attack.split(separator: ",", omittingEmptySubsequences: false).map { name in
      guard let known = AttackName(rawValue: String(name)) else {
        let all = AttackName.allCases.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("--attack \(name) is not known; expected \(all).")
      }
      return known
    }
  }

  private func range() throws -> Range<Int>? {
    guard let indices else { return first.map { 0..<$0 } }
    let parts = indices.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
    guard parts.count == 2, let a = parts[0], let b = parts[1], a >= 0, a < b else {
      throw ValidationError("--indices \(indices) is not a stretch; expected a:b with 0 <= a < b.")
    }
    return a..<b
  }

  mutating func run() throws {
    let terminal = Terminal.standardError
    terminal.isQuiet = output.quiet
    let run = RunFolder(path)
    let trained = run.exists ? try ConfigurationFile.read(run.configurationPath) : nil
    let settings = execution.applied()
    let device = try settings.prepare()

    guard let source = data ?? trained?.data else {
      throw SATError("no data were named; say with --data which images to evaluate on, such as --data mnist or --data images.npz")
    }
    var dataset = try DataSource(source).load(split, root: dataOptions.root)
    if let range = try range() { dataset = try dataset.subset(range) }
    let model = try ModelFile.load(
      path: path, checkpoint: checkpoint.rawValue, architecture: try architecture.architecture(),
      normalization: try architecture.normalization(), device: device)
    let classifier = model.classifier
    classifier.execution = settings
    try model.check(dataset, device: device)
    if model.wasTraining { terminal.warn(Self.trainingModeWarning.message) }
    for note in model.notes { terminal.line("\(path): \(note)") }

    let (attacks, threat) = try makeAttacks(trained)
    let progress = EvaluationDisplay()
    let adversarial = save == nil ? nil : try AdversarialImages(dataset)
    var evaluation = try Evaluator(
      model: classifier, data: dataset, batchSize: batchSize, device: device, layout: settings.memoryFormat.format
    ).run(attacks, progress: progress.show, onAdversarial: { adversarial?.put($1, at: $0) })
    terminal.endProgress()
    for warning in evaluation.warnings { terminal.warn(warning.message) }
    if model.wasTraining { evaluation.warnings.insert(Self.trainingModeWarning, at: 0) }

    let report = EvaluationReport(
      evaluation, model: path, data: dataset, threat: threat, seed: seed, batchSize: batchSize)
    if let save { try adversarial?.write(to: save, report) }
    let heading =
      "\(path) on \(dataset.count) \(dataset.split == "file" ? "" : dataset.split + " ")images of \(dataset.name)"
      + (threat.map { "; \($0.norm.rawValue), epsilon \((epsilon ?? trained?.threat.epsilon)?.text ?? "")" } ?? "")
    try output.deliver(report, text: EvaluationTable(evaluation, heading: heading).description)
  }

  private static let trainingModeWarning = Evaluation.Warning(
    code: .trainingMode,
    message: "the TorchScript archive was saved in training mode; it was switched to evaluation mode, call model.eval() before saving it")

  private func makeAttacks(_ trained: TrainingConfiguration?) throws -> ([any Attack], ThreatModel?) {
    let names = try attackNames().filter { $0 != .clean }
    if names.isEmpty { return ([], nil) }
    guard let radius = epsilon ?? trained?.threat.epsilon else {
      throw SATError("no epsilon was given; say with --epsilon how far images may be changed, such as --epsilon 8/255")
    }
    let threat = try ThreatModel(norm: norm ?? trained?.threat.norm ?? .linf, epsilon: radius.value)
    let steps = steps ?? trained?.attack.steps ?? 40
    // The run's step belongs to the run's epsilon and steps.
    let isRuns = epsilon == nil && norm == nil && self.steps == nil
    let size = stepSize?.value ?? (isRuns ? trained?.attack.stepSize.value : nil) ?? 2.5 * threat.epsilon / Double(steps)
    let attacks: [any Attack] = names.map { name in
      switch name {
      case .fgsm: FGSM(threat: threat)
      default:
        PGD(
          InnerMaximizer(threat: threat, steps: steps, stepSize: size), restarts: restarts, seed: seed)
      }
    }
    return (attacks, threat)
  }
}

/// Shows an evaluation's progress.
private final class EvaluationDisplay {
  private var phase = ""
  private var start = ContinuousClock().now

  func show(_ progress: Evaluator.Progress) {
    if progress.phase != phase {
      (phase, start) = (progress.phase, ContinuousClock().now)
      if progress.done < progress.total { Terminal.standardError.endProgress() }
    }
    Terminal.standardError.progress(
      progress.phase, fraction: Double(progress.done) / Double(progress.total), since: start,
      detail: "\(progress.done)/\(progress.total), \(progress.correct) still right")
  }
}

/// The images of an evaluation as its attacks left them.
private struct AdversarialImages {
  private let images: Tensor
  private let labels: Tensor

  init(_ data: ImageDataset) throws {
    images = data.batch(0..<data.count).images.contiguous().cloned()
    labels = data.labels
  }

  func put(_ broken: Tensor, at positions: [Int]) { images.copyInPlace(from: broken, at: Tensor(positions)) }

  func write(to path: String, _ report: EvaluationReport) throws {
    try SafeTensors(
      tensors: [("images", images), ("labels", labels)], metadata: ["sat.evaluation": report.json()]
    ).write(to: path)
  }
}
