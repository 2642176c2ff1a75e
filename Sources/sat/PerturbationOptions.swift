import ArgumentParser
import SAT

/// The options that bound a perturbation and set PGD's step size. For a run folder, they default to the run's values.
///
/// Each command declares its own `--steps`, because only `sat evaluate` has attacks other than PGD.
struct PerturbationOptions: ParsableArguments {
  @Option(help: "Norm of the perturbations: linf, l2 or l1. Default: the run's, else linf.") var norm: Norm?
  @Option(help: .value("radius", "Radius of the perturbations, such as 8/255 or 0.3. Default: the run's.")) var epsilon: Fraction?

  @Option(
    help: .value(
      "size",
      "Size of a step, for attacks that do not choose it themselves. Default: \(AttackParameters.Shared.stepSize.defaults)."))
  var stepSize: Fraction?

  func validate() throws {
    if let stepSize, !(stepSize.value > 0 && Limit.number.contains(stepSize.value)) {
      throw ValidationError("--step-size is \(stepSize); expected more than 0, at most \(Fraction(Limit.number.upperBound)).")
    }
  }

  /// Returns the first of these options and `--steps` that the command line gives; nil for none.
  func typed(steps: Int?) -> String? {
    if norm != nil { return "--norm" }
    if epsilon != nil { return "--epsilon" }
    if steps != nil { return "--steps" }
    return stepSize == nil ? nil : "--step-size"
  }

  struct Resolved {
    var threat: ThreatModel
    /// Epsilon as typed.
    var radius: Fraction
    var steps: Int
    /// Nil stands for `PGD.defaultStepSize`.
    var stepSize: Double?

    var maximizer: InnerMaximizer {
      InnerMaximizer(threat: threat, steps: steps, stepSize: stepSize ?? PGD.defaultStepSize(epsilon: threat.epsilon, steps: steps))
    }
  }

  /// Fills in the values of the model's run for absent options, also for `steps`. Nil stands for a model without a run.
  func resolved(_ trained: TrainingConfiguration?, steps: Int?) throws -> Resolved {
    guard let radius = epsilon ?? trained?.threat.epsilon else {
      throw SATError("no epsilon was given; set the radius of the perturbations, such as --epsilon 8/255")
    }
    // The run's step size fits only the run's own norm, epsilon and steps.
    let usesRunStep = epsilon == nil && norm == nil && steps == nil
    return Resolved(
      threat: try ThreatModel(norm: norm ?? trained?.threat.norm ?? .linf, epsilon: radius.value), radius: radius,
      steps: steps ?? trained?.attack.steps ?? PGD.defaultSteps,
      stepSize: stepSize?.value ?? (usesRunStep ? trained?.attack.stepSize.value : nil))
  }
}
