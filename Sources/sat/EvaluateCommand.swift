import ArgumentParser
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

      --attack autoattack runs the ensemble of Croce and Hein in the version of --version: apgd-ce, apgd-t, fab-t and square for standard.
      --mode fast draws per sample and retires a point as soon as it is broken, so the result does not depend on the batch size; --mode
      compat repeats the reference implementation's order of work, random streams and batches, for comparing with published numbers.

      The attacks, with their parameters:
      \(attacks)

      A parameter's option, or --set NAME=VALUE, reaches every attack that is named by itself and has the parameter. For
      autoattack the version fixes all parameters. The JSON document tells the parameters of each attack.

      Examples:
        sat evaluate runs/digits-p-sat
        sat evaluate runs/digits-p-sat --attack autoattack --save adversarial.safetensors
        sat evaluate runs/digits-p-sat --attack fgsm,pgd --steps 100 --restarts 5
        sat evaluate runs/digits-p-sat --version custom --attack apgd-t,square --targets 3 --queries 1000
        sat evaluate wrn.pt --model wrn34-10 --data cifar10 --attack autoattack --epsilon 8/255 --state wrn-state
        sat evaluate lenet5.pt --model lenet5 --data mnist --epsilon 0.3 --step-size 0.01 --first 500
        sat evaluate script.pt --data images.npz --epsilon 8/255 --json
      """)

  /// Two lines for each attack that the registry lists.
  private static var attacks: String {
    let rows = AttackRegistry.entries.flatMap { [[$0.name, $0.summary], ["", $0.parameters.map(\.name).joined(separator: ", ")]] }
    return TextTable(rows, leftColumns: 2).description.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n")
  }

  @OptionGroup var subject: ModelAndData
  @OptionGroup var attack: AttackOptions

  @Option(help: ArgumentHelp("Samples in a batch. Default: 128, and the reference's 250 in mode compat.", valueName: "n"))
  var batchSize: Int?

  @Option(
    help: ArgumentHelp(
      "Write images, originals and labels, the broken images as the attack left them, to a .safetensors file.", valueName: "file"))
  var save: String?

  @Option(
    help: ArgumentHelp(
      "Folder to keep the state in: a run that was killed goes on from there and ends with the same result.", valueName: "dir"))
  var state: String?

  @Option(help: ArgumentHelp("Write one JSON line a sample: which attack broke it, at which step, how far away.", valueName: "file"))
  var records: String?

  @Option(help: ArgumentHelp("Write an entry in RobustBench's model_info format.", valueName: "file"))
  var robustbench: String?

  @OptionGroup var output: OutputOptions

  func validate() throws {
    try check("--batch-size", batchSize, in: Limit.batchSize)
    if attack.isClean {
      for (option, isGiven) in [("--state", state != nil), ("--save", save != nil), ("--robustbench", robustbench != nil)] where isGiven {
        throw ValidationError("\(option) means nothing to --attack clean, which has no adversarial images; leave one of the two out.")
      }
    }
    if robustbench != nil && !attack.isStandardAutoAttack {
      throw ValidationError(
        "--robustbench writes what its leaderboard calls autoattack_acc, which is of AutoAttack's version standard; use --attack autoattack "
          + "without other attacks or parameters, or leave it out.")
    }
  }

  func run() throws {
    try output.begin(
      writing: save, records, robustbench, state.map(EvaluationJob.stateFile), reading: subject.inputs, making: state)
    let terminal = Terminal.standardError
    let loaded = try subject.load()
    if let warning = loaded.model.trainingModeWarning { terminal.warn(warning.message) }
    let choice = try attack.choose(loaded.trained, seed: subject.seed, classes: try loaded.model.classCount(of: loaded.data))
    if robustbench != nil, let warning = choice.warning {
      throw SATError("\(warning.message), so RobustBench has no entry for it; leave out --robustbench")
    }
    var job = EvaluationJob(model: loaded.model, data: loaded.data, plan: choice.plan, seed: subject.seed)
    job.batchSize = batchSize
    job.state = state
    job.keepsImages = save != nil
    job.version = choice.version
    job.planWarning = choice.warning
    let result = try finish(job)
    for warning in result.evaluation.warnings where warning.code != .trainingMode { terminal.warn(warning.message) }
    let heading =
      "\(subject.path) on \(loaded.data.summary)"
      + (choice.threat.map { "; \($0.norm.rawValue), epsilon \(choice.radius?.text ?? ""), mode \(choice.plan.mode.rawValue)" } ?? "")
    let table = EvaluationTable(result.evaluation, heading: heading, isIndividual: choice.plan.isIndividual)
    let position = try subject.selection.range()?.lowerBound ?? 0
    try output.deliver(
      result.document, text: table.description,
      files: [
        { if let records { try AtomicFile.write(EvaluationRecords.text(result.evaluation, first: position), to: records) } },
        { if let robustbench, let radius = choice.radius { try write(robustbench, result, epsilon: radius) } },
        { if let save { try result.saveImages(to: save) } },
      ])
  }

  /// Runs the job; an interruption ends the program with status 130.
  private func finish(_ job: EvaluationJob) throws -> EvaluationJob.Result {
    let terminal = Terminal.standardError
    let display = ProgressDisplay()
    Interruption.listen()
    defer { terminal.endProgress() }
    do {
      return try job.run(progress: { display.show(JobProgress($0)) }, shouldStop: { Interruption.isRequested })
    } catch is JobStopped {
      terminal.warn(
        "interrupted; "
          + (state.map { "what is done is kept in \($0), and the same command goes on from there" }
            ?? "nothing is kept; name a folder with --state to keep what is done"))
      throw ExitCode(130)
    }
  }

  /// Writes the entry of a leaderboard, if all of its attacks could run.
  private func write(_ robustbench: String, _ result: EvaluationJob.Result, epsilon: Fraction) throws {
    let (job, evaluation) = (result.job, result.evaluation)
    guard evaluation.attacks.count == job.plan.attacks.count else {
      throw SATError("\(robustbench) was not written: only \(evaluation.attacks.map(\.name).joined(separator: ", ")) ran, which is not AutoAttack")
    }
    let entry = RobustBenchEntry(
      evaluation, dataset: job.data.name, architecture: (job.model.classifier as? NetworkClassifier)?.architecture.name, epsilon: epsilon.text)
    try AtomicFile.write(JSONText.encode(entry) + "\n", to: robustbench)
  }
}
