import ArgumentParser
import SAT

extension AttackSuite.Version: ExpressibleByArgument {}
extension AttackMode: ExpressibleByArgument {}
extension AttackLoss: ExpressibleByArgument {}

/// Which attacks a command runs.
struct AttackOptions: ParsableArguments {
  @Option(
    name: .customLong("attack"),
    help: ArgumentHelp(
      "autoattack, one of \(AttackSuite.Name.allCases.map(\.rawValue).joined(separator: ", ")), several with commas, in order, or clean.",
      valueName: "names"))
  var names = "pgd"

  @Option(
    help: """
      Version of AutoAttack, whose parameters its attacks have: standard, plus, rand (for random models), custom (a list of --attack \
      with the parameters of the reference's objects), or individual (each attack by itself, and the worst case).
      """)
  var version: AttackSuite.Version = .standard

  @Option(help: "fast: every draw depends on the sample alone; compat: as the reference implementation does it.")
  var mode: AttackMode = .fast

  @OptionGroup var perturbation: PerturbationOptions

  @Option(help: ArgumentHelp("Random starts of PGD.", valueName: "n"))
  var restarts = 1

  @Option(help: "What PGD and FGSM ascend: ce (cross-entropy), dlr (difference of logits ratio) or margin (of logits).")
  var loss: AttackLoss = .crossEntropy

  @Option(help: ArgumentHelp("Classes PGD and FGSM steer to, the likeliest first; 0 for away from the label.", valueName: "n"))
  var targets = 0

  /// What was chosen.
  struct Choice: CustomStringConvertible {
    var plan: EvaluationPlan
    var threat: ThreatModel?
    /// Epsilon as typed.
    var radius: Fraction?
    /// For the report: nil where no attack of the ensemble runs.
    var version: String?
    var warning: Evaluation.Warning?
    /// All that the result depends on beside model, data and seed.
    var description: String
  }

  func validate() throws {
    try check("--restarts", restarts, in: Limit.restarts)
    try check("--targets", targets, in: 0...Limit.classes.upperBound)
    _ = try selection()
  }

  /// The attacks in order; none for clean.
  private func selection() throws -> [AttackSuite.Name] {
    var chosen: [AttackSuite.Name] = []
    for name in names.split(separator: ",", omittingEmptySubsequences: false).map(String.init) where name != "clean" {
      if name == "autoattack" {
        guard version != .custom else {
          throw ValidationError("--version custom has no list of its own; name its attacks, such as --attack apgd-ce,square.")
        }
        chosen += AttackSuite.ensemble(version)
      } else if let known = AttackSuite.Name(rawValue: name) {
        chosen.append(known)
      } else {
        let all = ["clean", "autoattack"] + AttackSuite.Name.allCases.map(\.rawValue)
        throw ValidationError("--attack \(name) is not known; expected \(all.joined(separator: ", ")).")
      }
    }
    guard Set(chosen).count == chosen.count else { throw ValidationError("--attack \(names) names an attack twice.") }
    return chosen
  }

  /// - Parameters:
  ///   - trained: the configuration of the run that is evaluated, whose threat model and PGD are the defaults.
  ///   - classes: of the model.
  func choose(_ trained: TrainingConfiguration?, seed: UInt64, classes: Int) throws -> Choice {
    let chosen = try selection()
    if chosen.isEmpty { return Choice(plan: EvaluationPlan([], mode: mode), description: "clean") }
    let given = try perturbation.resolved(trained)
    let (threat, steps) = (given.threat, given.steps)
    let suite = AttackSuite(
      threat: threat, version: version, mode: mode, seed: seed, classes: classes, steps: steps,
      stepSize: given.stepSize, restarts: restarts, loss: loss, targets: targets)
    let (attacks, warning) = try suite.attacks(chosen)
    let plan = EvaluationPlan(attacks, isIndividual: version == .individual, mode: mode, expectsRandomness: version == .rand)
    let pgd = chosen.contains(.pgd) ? ", PGD of \(steps) steps of \(suite.stepSize), \(restarts) restarts" : ""
    let ascent = chosen.contains { !$0.isAutoAttack } ? ", loss \(loss.rawValue), \(targets) targets" : ""
    return Choice(
      plan: plan, threat: threat, radius: given.radius, version: chosen.contains(where: \.isAutoAttack) || plan.isIndividual ? version.rawValue : nil,
      warning: warning,
      description: "\(chosen.map(\.rawValue).joined(separator: ",")), version \(version.rawValue), \(threat.norm.rawValue) \(threat.epsilon)\(pgd)\(ascent)")
  }
}
