import ArgumentParser
import SAT
import SwiftTorch

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate", abstract: "Measure a model's accuracy, clean and under attack.",
    discussion: """
      MODEL is a run folder, a .safetensors file that sat wrote, a TorchScript archive, or a PyTorch state_dict (zip or legacy, \
      with --model NAME). sat reads the file to find its kind. For a run folder, data, epsilon and attack default to those used in \
      training. A sample counts as robust when the model classifies its clean image correctly and no attack breaks it.

      --attack autoattack runs the ensemble of Croce and Hein. --version selects its version; standard is \
      \(AutoAttack.ensemble(.standard).map(\.name).joined(separator: ", ")). \
      --mode fast draws per sample and drops a sample as soon as it is broken, so the batch size does not change the result. \
      --mode compat repeats the order, random draws and batches of the reference implementation, to compare with \
      published numbers.

      The attacks, with their parameters:
      \(attacks)

      A parameter's option, or --set NAME=VALUE, applies to every attack that --attack names and that has the parameter. For \
      autoattack the version fixes all parameters. The JSON document states the parameters of each attack.

      EXAMPLES:
        sat evaluate runs/digits-p-sat
        sat evaluate runs/digits-p-sat --attack autoattack --save adv.safetensors
        sat evaluate runs/digits-p-sat --attack fgsm,pgd --steps 100 --restarts 5
        sat evaluate runs/digits-p-sat --attack apgd-t,square --targets 3
        sat evaluate wrn.pt --model wrn34-10 --data cifar10 --epsilon 8/255 \\
          --state s
        sat evaluate lenet5.pt --model lenet5 --data mnist --epsilon 0.3 --first 500
        sat evaluate script.pt --data images.npz --epsilon 8/255 --json
      """)

  /// Two lines for each attack that the registry lists.
  private static var attacks: String {
    let rows = AttackRegistry.entries.flatMap {
      [[$0.name, $0.summary], ["", $0.parameters.map(\.name).joined(separator: ", ")]]
    }
    return TextTable(rows, leftColumns: 2).description.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n")
  }

  @OptionGroup var subject: ModelAndData
  @OptionGroup var attack: AttackOptions
  @Option(help: .value("n", "Samples in a batch. Default: 128; mode compat uses the reference's 250.")) var batchSize: Int?

  @Option(
    help: .value("file", "Write images, originals and labels to a .safetensors file. Broken images are as the attack left them."))
  var save: String?

  @Option(
    help: .value("dir", "Folder for the saved state. An evaluation that was stopped continues from it and gives the same result."))
  var state: String?

  @Option(help: .value("file", "Write one JSON line per sample: the attack that broke it, the step and the norm."))
  var records: String?

  @Option(help: .value("file", "Write an entry in RobustBench's model_info format. The board needs all its test images."))
  var robustbench: String?
  @Flag(help: "Allow --robustbench with fewer images than the board uses. The entry's footnote says so.") var partial = false
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try check("--batch-size", batchSize, in: Limit.batchSize)
    for (option, value) in [("--state", state), ("--save", save), ("--robustbench", robustbench)]
    where value != nil && attack.isClean {
      throw ValidationError("\(option) has no effect with --attack clean, which makes no adversarial images; remove one.")
    }
    if robustbench != nil && subject.execution.precision == .bf16 {
      throw ValidationError("--robustbench lists results in float32; use --precision fp32, or remove --robustbench.")
    }
    if partial && robustbench == nil { throw ValidationError("--partial has no effect without --robustbench; remove it.") }
    if robustbench != nil && !attack.isStandardAutoAttack {
      throw ValidationError(
        "--robustbench writes autoattack_acc, which needs AutoAttack's version standard; use --attack autoattack "
          + "without other attacks or parameters, or remove --robustbench.")
    }
  }

  func run() throws {
    try output.begin(
      "reading the model and the data", writing: save, records, robustbench, state.map(StatePlace.file),
      reading: subject.inputs, making: state)
    let terminal = Terminal.standardError
    if let note = attack.cleanNote { terminal.line("note: \(note)") }
    let loaded = try subject.load()
    for warning in [loaded.model.trustWarning, loaded.model.trainingModeWarning].compactMap({ $0 }) {
      terminal.warn(warning.message)
    }
    var (job, radius) = try attack.job(loaded.model, loaded.data, trained: loaded.trained, seed: subject.seed)
    if robustbench != nil, let warning = job.planWarning {
      throw SATError("\(warning.message), so RobustBench has no entry for it; remove --robustbench")
    }
    if robustbench != nil, !partial, let missing = RobustBenchEntry.shortage(of: loaded.data) {
      throw SATError("--robustbench: \(missing); evaluate all of them, or mark the entry as partial with --partial")
    }
    job.batchSize = batchSize
    job.state = state
    job.keepsImages = save != nil
    let result = try Interruption.listening(
      keeping: "the state is", in: state, otherwise: "name a folder with --state to keep the state"
    ) { display in
      try job.run(progress: { display.show(JobProgress($0)) }, shouldStop: { Interruption.isRequested })
    }
    for warning in result.evaluation.warnings where ![.trainingMode, .trustedArchive].contains(warning.code) {
      terminal.warn(warning.message)
    }
    let precision = loaded.model.classifier.execution.precision.rawValue
    let threat = job.plan.attacks.first.map {
      "; \($0.threat.norm.rawValue), epsilon \(radius?.text ?? ""), mode \(job.plan.mode.rawValue), \(precision)"
    }
    let table = EvaluationTable(
      result.evaluation, heading: "\(subject.path) on \(loaded.data.summary)\(threat ?? "")",
      isIndividual: job.plan.isIndividual)
    let position = try subject.selection.range()?.lowerBound ?? 0
    try output.deliver(
      result.document, text: table.description,
      files: [
        { if let records { try AtomicFile.write(EvaluationRecords.text(result.evaluation, first: position), to: records) } },
        { if let robustbench, let radius { try write(robustbench, result, epsilon: radius) } },
        { if let save { try result.saveImages(to: save) } },
      ])
  }

  /// Writes RobustBench's entry, or refuses when an attack of AutoAttack did not run.
  private func write(_ robustbench: String, _ result: EvaluationJob.Result, epsilon: Fraction) throws {
    let (job, evaluation) = (result.job, result.evaluation)
    guard evaluation.attacks.count == job.plan.attacks.count else {
      let names = evaluation.attacks.map(\.name).joined(separator: ", ")
      throw SATError("\(robustbench) was not written, because only \(names) ran; expected all attacks of AutoAttack")
    }
    let entry = RobustBenchEntry(
      evaluation, dataset: job.data.name, architecture: (job.model.classifier as? NetworkClassifier)?.architecture.name,
      epsilon: epsilon.text, device: "\(job.model.device)")
    try AtomicFile.write(JSONText.encode(entry) + "\n", to: robustbench)
  }
}
