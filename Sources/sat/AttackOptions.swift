import ArgumentParser
import SAT

extension AttackSuite.Version: ExpressibleByArgument {}
extension AttackMode: ExpressibleByArgument {}
extension AttackLoss: ExpressibleByArgument {}

/// Which attacks a command runs, and with which parameters.
struct AttackOptions: ParsableArguments {
  @Option(
    name: .customLong("attack"),
    help: ArgumentHelp(
      "autoattack, one of \(AttackSuite.Name.allCases.map(\.rawValue).joined(separator: ", ")), several with commas, in order, or clean.",
      valueName: "names"))
  var names = "pgd"

  @Option(
    help: """
      Version of AutoAttack, whose parameters its attacks have: standard (the default), plus, rand (for random models), custom (a list of \
      --attack with the parameters of the reference's objects), or individual (each attack by itself, and the worst case).
      """)
  var version: AttackSuite.Version?

  @Option(help: "fast: every draw depends on the sample alone; compat: as the reference implementation does it.")
  var mode: AttackMode = .fast

  @OptionGroup var perturbation: PerturbationOptions

  @Option(help: ArgumentHelp("Starts of PGD, APGD, FAB and Square. Default: 1, of AutoAttack's the version's.", valueName: "n"))
  var restarts: Int?

  @Option(help: "What PGD and FGSM ascend: ce (cross-entropy), dlr (difference of logits ratio) or margin (of logits). Default: ce.")
  var loss: AttackLoss?

  @Option(
    help: ArgumentHelp(
      "Classes to steer to, the likeliest first. Default: of apgd-t and fab-t the version's, mostly 9; of PGD and FGSM 0, away from the label.",
      valueName: "n"))
  var targets: Int?

  @Option(help: ArgumentHelp("Queries of Square. Default: 5000.", valueName: "n"))
  var queries: Int?

  @Option(
    help: ArgumentHelp("Passes whose gradients APGD averages, for random models. Default: 20 in version rand, else 1.", valueName: "n"))
  var eot: Int?

  /// What was chosen.
  struct Choice {
    var plan: EvaluationPlan
    var threat: ThreatModel?
    /// Epsilon as typed.
    var radius: Fraction?
    /// For the report: nil where no attack of the ensemble runs.
    var version: String?
    var warning: Evaluation.Warning?
  }

  /// The attacks in order; none for clean.
  private struct Selection {
    var names: [AttackSuite.Name] = []
    /// Those whose parameters are the version's, because the version or the ensemble was named.
    var published: Set<AttackSuite.Name> = []

    /// Those that options reach.
    var adjustable: [AttackSuite.Name] { names.filter { !published.contains($0) } }
    var text: String { names.map(\.rawValue).joined(separator: ",") }
  }

  /// What was typed of the attacks' parameters.
  private var asked: AttackParameters {
    AttackParameters(
      steps: perturbation.steps, stepSize: perturbation.stepSize?.value, restarts: restarts, targets: targets, loss: loss, queries: queries,
      eot: eot)
  }

  var isClean: Bool { (try? selection().names.isEmpty) ?? false }

  /// Whether what runs is AutoAttack as its authors publish and leaderboards list it: the attacks of the standard version, all of them and
  /// no other, with its parameters.
  var isStandardAutoAttack: Bool {
    guard let selection = try? selection() else { return false }
    let isReached = selection.adjustable.contains { name in asked.values.contains { name.parameters.contains($0.name) } }
    return Set(selection.names) == Set(AttackSuite.ensemble(.standard)) && !isReached && [nil, .standard, .individual].contains(version)
  }

  func validate() throws {
    try check("--restarts", restarts, in: Limit.restarts)
    try check("--targets", targets, in: 0...Limit.classes.upperBound)
    try check("--queries", queries, in: Limit.steps)
    try check("--eot", eot, in: Limit.restarts)
    let selection = try selection()
    guard !selection.names.isEmpty else { return try refuseForClean() }
    if let version, [.standard, .plus, .custom].contains(version), !selection.names.contains(where: \.isAutoAttack) {
      throw ValidationError("--version \(version.rawValue) is of AutoAttack's attacks, and \(selection.text) is none of them; leave it out.")
    }
    if targets == 0, let name = selection.adjustable.first(where: { $0 == .apgdT || $0 == .fabT }) {
      throw ValidationError("--targets is 0, but \(name.rawValue) steers to classes; expected at least 1.")
    }
    for (name, _) in asked.values where !selection.adjustable.contains(where: { $0.parameters.contains(name) }) {
      if selection.names.contains(where: { $0.parameters.contains(name) }) {
        let version = (version ?? .standard).rawValue
        throw ValidationError(
          "--\(name.rawValue) would change the parameters of AutoAttack's version \(version); to change them name the attacks, "
            + "--attack \(selection.text), without --version or with --version custom.")
      }
      let known = Set(selection.names.flatMap(\.parameters))
      let options = AttackParameters.Name.allCases.filter { known.contains($0) }.map { "--\($0.rawValue)" }
      throw ValidationError(
        "--\(name.rawValue) means nothing to \(selection.text), whose options are \(options.joined(separator: ", ")); leave it out.")
    }
  }

  private func refuseForClean() throws {
    var given = asked.values.map(\.name.rawValue)
    if version != nil { given.append("version") }
    if perturbation.norm != nil { given.append("norm") }
    if perturbation.epsilon != nil { given.append("epsilon") }
    guard let first = given.first else { return }
    throw ValidationError("--\(first) means nothing to --attack clean, which changes no image; leave one of the two out.")
  }

  private func selection() throws -> Selection {
    var chosen = Selection()
    for name in names.split(separator: ",", omittingEmptySubsequences: false).map(String.init) where name != "clean" {
      if name == "autoattack" {
        guard version != .custom else {
          throw ValidationError("--version custom has no list of its own; name its attacks, such as --attack apgd-ce,square.")
        }
        chosen.names += AttackSuite.ensemble(version ?? .standard)
        chosen.published.formUnion(AttackSuite.ensemble(version ?? .standard))
      } else if let known = AttackSuite.Name(rawValue: name) {
        chosen.names.append(known)
        if let version, [.standard, .plus, .rand].contains(version), known.isAutoAttack { chosen.published.insert(known) }
      } else {
        let all = ["clean", "autoattack"] + AttackSuite.Name.allCases.map(\.rawValue)
        throw ValidationError("--attack \(name) is not known; expected \(all.joined(separator: ", ")).")
      }
    }
    guard Set(chosen.names).count == chosen.names.count else { throw ValidationError("--attack \(names) names an attack twice.") }
    return chosen
  }

  /// - Parameters:
  ///   - trained: the configuration of the run that is evaluated, whose threat model and PGD are the defaults.
  ///   - classes: of the model.
  func choose(_ trained: TrainingConfiguration?, seed: UInt64, classes: Int) throws -> Choice {
    let selection = try selection()
    let chosen = selection.names
    if chosen.isEmpty { return Choice(plan: EvaluationPlan([], mode: mode)) }
    if let targets, targets > classes - 1 {
      throw ValidationError("--targets is \(targets), but the model has \(classes) classes; expected at most \(classes - 1).")
    }
    let given = try perturbation.resolved(trained)
    let suite = AttackSuite(
      threat: given.threat, version: version ?? .standard, mode: mode, seed: seed, classes: classes, steps: given.steps, stepSize: given.stepSize,
      asked: asked)
    let (attacks, warning) = try suite.attacks(chosen, published: selection.published)
    let isIndividual = version == .individual
    let plan = EvaluationPlan(attacks, isIndividual: isIndividual, mode: mode, expectsRandomness: version == .rand || eot ?? 1 > 1)
    let isChanged = selection.adjustable.contains { name in
      name.isAutoAttack && asked.values.contains { name.parameters.contains($0.name) }
    }
    return Choice(
      plan: plan, threat: given.threat, radius: given.radius,
      version: isIndividual || chosen.contains(where: \.isAutoAttack)
        ? (isChanged && !isIndividual ? AttackSuite.Version.custom : version ?? .standard).rawValue : nil,
      warning: warning)
  }
}
