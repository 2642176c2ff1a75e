import ArgumentParser
import SAT

/// How far images may be changed, and the steps of PGD; of a run they are the run's unless typed.
struct PerturbationOptions: ParsableArguments {
  @Option(help: "Norm of the perturbations: linf, l2 or l1. Default: the run's, else linf.")
  var norm: Norm?

  @Option(help: ArgumentHelp("Radius of the perturbations, such as 8/255 or 0.3. Default: the run's.", valueName: "radius"))
  var epsilon: Fraction?

  @Option(help: ArgumentHelp("Steps of PGD, by default the run's, else 40, and of APGD and FAB, by default 100.", valueName: "n"))
  var steps: Int?

  @Option(help: ArgumentHelp("Step of PGD. Default: the run's, else 2.5 * epsilon / steps.", valueName: "size"))
  var stepSize: Fraction?

  func validate() throws {
    try check("--steps", steps, in: Limit.steps)
    if let stepSize, !(stepSize.value > 0 && Limit.number.contains(stepSize.value)) {
      throw ValidationError("--step-size is \(stepSize); expected more than 0, at most \(Fraction(Limit.number.upperBound)).")
    }
  }

  /// One of the options that were typed; nil for none.
  var typed: String? {
    [("--norm", norm != nil), ("--epsilon", epsilon != nil), ("--steps", steps != nil), ("--step-size", stepSize != nil)].first(where: \.1)?.0
  }

  /// What holds for a model.
  struct Resolved {
    var threat: ThreatModel
    /// Epsilon as typed.
    var radius: Fraction
    var steps: Int
    /// Nil for 2.5 * epsilon / steps.
    var stepSize: Double?

    var maximizer: InnerMaximizer {
      InnerMaximizer(threat: threat, steps: steps, stepSize: stepSize ?? 2.5 * threat.epsilon / Double(steps))
    }
  }

  /// - Parameter trained: the configuration of the run the model is from.
  func resolved(_ trained: TrainingConfiguration?) throws -> Resolved {
    guard let radius = epsilon ?? trained?.threat.epsilon else {
      throw SATError("no epsilon was given; say with --epsilon how far images may be changed, such as --epsilon 8/255")
    }
    // The run's step belongs to the run's epsilon and steps.
    let isRuns = epsilon == nil && norm == nil && steps == nil
    return Resolved(
      threat: try ThreatModel(norm: norm ?? trained?.threat.norm ?? .linf, epsilon: radius.value), radius: radius,
      steps: steps ?? trained?.attack.steps ?? 40, stepSize: stepSize?.value ?? (isRuns ? trained?.attack.stepSize.value : nil))
  }
}
