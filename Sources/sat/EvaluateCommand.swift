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

      --attack autoattack runs the ensemble of Croce and Hein in the version of --version: apgd-ce, apgd-t, fab-t and square for standard.
      --mode fast draws per sample and retires a point as soon as it is broken, so the result does not depend on the batch size; --mode
      compat repeats the reference implementation's order of work, random streams and batches, for comparing with published numbers.

      --steps, --restarts, --targets, --queries and --eot reach every attack that is named by itself and has such a parameter; those of
      autoattack are fixed by its version. The JSON document tells the parameters of each.

      Examples:
        sat evaluate runs/digits-p-sat
        sat evaluate runs/digits-p-sat --attack autoattack --save adversarial.safetensors
        sat evaluate runs/digits-p-sat --attack fgsm,pgd --steps 100 --restarts 5
        sat evaluate runs/digits-p-sat --version custom --attack apgd-t,square --targets 3 --queries 1000
        sat evaluate wrn.pt --model wrn34-10 --data cifar10 --attack autoattack --epsilon 8/255 --state wrn-state
        sat evaluate lenet5.pt --model lenet5 --data mnist --epsilon 0.3 --step-size 0.01 --first 500
        sat evaluate script.pt --data images.npz --epsilon 8/255 --json
      """)

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
      writing: save, records, robustbench, state.map(EvaluationStore.file), reading: subject.inputs, making: state)
    let terminal = Terminal.standardError
    let loaded = try subject.load()
    let (path, seed, dataset, device, settings) = (subject.path, subject.seed, loaded.data, loaded.device, loaded.execution)
    let (model, classifier) = (loaded.model, loaded.model.classifier)
    if let warning = model.trainingModeWarning { terminal.warn(warning.message) }

    let choice = try attack.choose(loaded.trained, seed: seed, classes: try model.classCount(of: dataset, device: device))
    var plan = choice.plan
    plan.seed = seed
    if robustbench != nil, let warning = choice.warning {
      throw SATError("\(warning.message), so RobustBench has no entry for it; leave out --robustbench")
    }
    let size = batchSize ?? (plan.mode == .compat ? 250 : 128)
    let store = try state.map { folder in
      try EvaluationStore(folder, identity: identity(loaded, choice, size))
    }
    let adversarial = save == nil && store == nil ? nil : AdversarialImages()
    let display = EvaluationDisplay()
    Interruption.listen()
    func evaluate() throws -> Evaluation {
      try Evaluator(model: classifier, data: dataset, batchSize: size, device: device, layout: settings.memoryFormat.format)
        .run(plan, adversarial: adversarial, store: store, progress: display.show) { Interruption.isRequested }
    }
    // Compat asks the network as it is; fast may ask a form that is faster and equal up to rounding, and confirms what it finds.
    var evaluation: Evaluation
    do {
      switch classifier {
      case let network as NetworkClassifier where plan.mode == .fast:
        evaluation = try network.withPreparedWeights(inputShape: dataset.imageShape, evaluate)
      case let script as ScriptClassifier where plan.mode == .fast: evaluation = try script.withPreparedWeights(evaluate)
      default: evaluation = try evaluate()
      }
    } catch is EvaluationStopped {
      terminal.warn(
        "interrupted; "
          + (state.map { "what is done is kept in \($0), and the same command goes on from there" }
            ?? "nothing is kept; name a folder with --state to keep what is done"))
      throw ExitCode(130)
    }
    terminal.endProgress()
    if let warning = choice.warning { evaluation.warnings.insert(warning, at: 0) }
    for warning in evaluation.warnings { terminal.warn(warning.message) }
    if let warning = model.trainingModeWarning { evaluation.warnings.insert(warning, at: 0) }

    let document = EvaluationDocument(
      evaluation, model: path, data: dataset, threat: choice.threat, seed: seed, batchSize: size, mode: plan.mode, version: choice.version,
      attacks: plan.attacks)
    let heading =
      "\(path) on \(dataset.summary)"
      + (choice.threat.map { "; \($0.norm.rawValue), epsilon \(choice.radius?.text ?? ""), mode \(plan.mode.rawValue)" } ?? "")
    let table = EvaluationTable(evaluation, heading: heading, isIndividual: plan.isIndividual)
    let position = try subject.selection.range()?.lowerBound ?? 0
    try output.deliver(
      document, text: table.description,
      files: [
        { if let records { try AtomicFile.write(EvaluationRecords.text(evaluation, first: position), to: records) } },
        { if let robustbench { try write(robustbench, evaluation, choice, loaded) } },
        { if let save, let adversarial { try SavedImages.write(adversarial, dataset, document, to: save) } },
      ])
  }

  /// The entry of a leaderboard, if all of its attacks could run.
  private func write(_ robustbench: String, _ evaluation: Evaluation, _ choice: AttackOptions.Choice, _ loaded: ModelAndData.Loaded) throws {
    guard let radius = choice.radius else { return }
    guard evaluation.attacks.count == choice.plan.attacks.count else {
      throw SATError("\(robustbench) was not written: only \(evaluation.attacks.map(\.name).joined(separator: ", ")) ran, which is not AutoAttack")
    }
    let entry = RobustBenchEntry(
      evaluation, dataset: loaded.data.name, architecture: (loaded.model.classifier as? NetworkClassifier)?.architecture.name, epsilon: radius.text)
    try AtomicFile.write(JSONText.encode(entry) + "\n", to: robustbench)
  }

  /// What a state belongs to. In mode fast the batch size is not part of it.
  private func identity(_ loaded: ModelAndData.Loaded, _ choice: AttackOptions.Choice, _ size: Int) throws -> EvaluationStore.Identity {
    let data = loaded.data
    return [
      ("model", try loaded.model.fingerprint()),
      ("data", "\(data.name) \(data.split), \(data.count) images, \(String(try data.images.fingerprint ^ data.labels.fingerprint, radix: 16))"),
      ("attack", choice.description), ("seed", "\(subject.seed)"), ("mode", choice.plan.mode.rawValue),
      ("precision", loaded.execution.precision.rawValue), ("batch size", choice.plan.mode == .compat ? "\(size)" : "any"),
    ]
  }
}
