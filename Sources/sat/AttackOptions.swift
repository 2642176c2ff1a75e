import ArgumentParser
import SAT

extension AutoAttack.Version: ExpressibleByArgument {}
extension AttackMode: ExpressibleByArgument {}
extension AttackLoss: ExpressibleByArgument {}

extension String {
  /// Makes the help of a parameter's option from the attacks' registry: the attacks that have it, and their defaults.
  fileprivate static func of(_ text: String, _ parameter: AttackParameters.Shared) -> String {
    "\(text). Attacks: \(AttackRegistry.takers(of: parameter.rawValue).joined(separator: ", ")). Default: \(parameter.defaults)"
      + (AttackRegistry.dependsOnVersion(parameter.rawValue) ? ". AutoAttack's version and the norm may change it." : ".")
  }
}

extension AttackParameters.Shared {
  /// The defaults in the help of the parameter's option.
  var defaults: String { AttackRegistry.defaults(of: rawValue) }
}

struct AttackOptions: ParsableArguments {
  @Option(
    name: .customLong("attack"),
    help: .value(
      "names",
      """
      Attacks in order, separated by commas: autoattack, \(AttackRegistry.entries.map(\.name).joined(separator: ", ")), or clean. \
      Default: \(AttackRegistry.standard.name); autoattack if --version is given.
      """))
  var attack: String?

  /// The attacks' names. A version is one of AutoAttack, so it means AutoAttack when no attack is named.
  private var names: String { attack ?? (version == nil ? AttackRegistry.standard.name : "autoattack") }

  @Option(
    help: """
      Version of AutoAttack, which sets the parameters of its attacks: standard (the default), plus, rand (for random models), \
      custom (the attacks of --attack with the defaults of the reference's classes), or individual (each attack alone, and the \
      worst case).
      """) var version: AutoAttack.Version?

  @Option(help: "fast: each draw depends only on the sample. compat: batches and draws of the reference implementation.")
  var mode: AttackMode = .fast

  @OptionGroup var perturbation: PerturbationOptions

  @Option(help: .value("n", .of("Gradient steps", .steps))) var steps: Int?
  @Option(help: .value("n", .of("Starts", .restarts))) var restarts: Int?

  @Option(
    help: ArgumentHelp(
      .of("Loss that the attack increases: ce (cross-entropy), dlr (difference of logits ratio) or margin (of logits)", .loss)))
  var loss: AttackLoss?

  @Option(help: .value("n", .of("Target classes, the likeliest first; 0 for an untargeted attack", .targets))) var targets: Int?
  @Option(help: .value("n", .of("Queries per start", .queries))) var queries: Int?
  @Option(help: .value("n", .of("Passes that average the gradient, for random models", .eot))) var eot: Int?

  @Option(name: .customLong("set"), help: .value("name=value", "Set an attack parameter by name. Repeatable."))
  var settings: [String] = []

  /// The chosen attacks in order; empty for clean.
  private struct Selection {
    var entries: [AttackEntry] = []
    /// Names of the attacks that keep the version's parameters, because the user named the version or the ensemble.
    var published: Set<String> = []

    /// The attacks to which parameter options apply.
    var adjustable: [AttackEntry] { entries.filter { !published.contains($0.name) } }
    var text: String { entries.map(\.name).joined(separator: ",") }
  }

  /// A note about an option of the perturbation that `--attack clean` does not use; nil for none.
  var cleanNote: String? {
    guard isClean else { return nil }
    return perturbation.typed(steps: steps).map { "\($0) has no effect, because --attack clean changes no image" }
  }

  var isClean: Bool { (try? selection().entries.isEmpty) ?? false }

  /// True if the published AutoAttack runs, which leaderboards list: exactly the attacks of version standard, with its parameters.
  var isStandardAutoAttack: Bool {
    guard let selection = try? selection(), let asked = try? asked() else { return false }
    return Set(selection.entries.map(\.name)) == Set(AutoAttack.ensemble(.standard).map(\.name))
      && !AttackSuite.changesAutoAttack(asked, selection.entries, published: selection.published)
      && [nil, .standard, .individual].contains(version)
  }

  func validate() throws {
    try check("--steps", steps, in: Limit.steps)
    let (selection, asked) = (try selection(), try asked())
    guard !selection.entries.isEmpty else {
      let parameter = asked.values.first.map { Self.option($0.name) }
      guard let given = parameter ?? (version == nil ? nil : "--version") else { return }
      throw ValidationError("\(given) has no effect with --attack clean, which changes no image; remove one of the two.")
    }
    if mode == .compat, let other = selection.entries.first(where: { !$0.isAutoAttack }) {
      throw ValidationError(
        "--mode compat repeats the reference implementation of AutoAttack, which has no \(other.name); remove one of the two."
      )
    }
    if let version, [.standard, .plus, .custom].contains(version), !selection.entries.contains(where: \.isAutoAttack) {
      throw ValidationError(
        "--version \(version.rawValue) applies to AutoAttack's attacks only, not to \(selection.text); remove --version.")
    }
    for (name, value) in asked.values {
      let takers = selection.adjustable.filter { $0.takes(name) }
      guard !takers.isEmpty else { throw refusal(of: name, selection) }
      for entry in takers {
        for parameter in entry.parameters where parameter.name == name && !parameter.accepts(value) {
          throw ValidationError("\(Self.option(name)) is \(value); \(entry.name) takes \(parameter.expectation()).")
        }
      }
    }
  }

  /// The error about an option that no selected attack can use.
  private func refusal(of name: String, _ selection: Selection) -> ValidationError {
    if selection.entries.contains(where: { $0.takes(name) }) {
      let version = (version ?? .standard).rawValue
      return ValidationError(
        "\(Self.option(name)) changes a parameter that AutoAttack's version \(version) fixes; to change it, name the attacks, "
          + "--attack \(selection.text), without --version or with --version custom.")
    }
    var options: [String] = []
    for parameter in selection.entries.flatMap(\.parameters) where !options.contains(Self.option(parameter.name)) {
      options.append(Self.option(parameter.name))
    }
    let list = options.joined(separator: ", ")
    return ValidationError("\(Self.option(name)) has no effect on \(selection.text), which takes \(list); remove it.")
  }

  private func selection() throws -> Selection {
    var chosen = Selection()
    for name in names.split(separator: ",", omittingEmptySubsequences: false).map(String.init) where name != "clean" {
      if name == "autoattack" {
        guard version != .custom else {
          throw ValidationError("--version custom has no attacks of its own; name its attacks, such as --attack apgd-ce,square.")
        }
        let ensemble = AutoAttack.ensemble(version ?? .standard)
        chosen.entries += ensemble
        chosen.published.formUnion(ensemble.map(\.name))
      } else if let known = AttackRegistry.entry(named: name) {
        chosen.entries.append(known)
        if let version, [.standard, .plus, .rand].contains(version), known.isAutoAttack { chosen.published.insert(name) }
      } else {
        let all = ["clean", "autoattack"] + AttackRegistry.entries.map(\.name)
        throw ValidationError("--attack \(name) is unknown; expected one of \(all.joined(separator: ", ")).")
      }
    }
    guard Set(chosen.entries.map(\.name)).count == chosen.entries.count else {
      throw ValidationError("--attack \(names) names an attack twice; name each attack once.")
    }
    return chosen
  }

  // MARK: Parameters

  /// Returns a parameter's option as users type it. A shared parameter has an option with its own name.
  private static func option(_ parameter: String) -> String {
    AttackParameters.Shared(rawValue: parameter) == nil ? "--set \(parameter)" : "--\(parameter)"
  }

  private func asked() throws -> AttackParameters {
    var asked = AttackParameters(
      steps: steps, stepSize: perturbation.stepSize?.value, restarts: restarts, targets: targets, loss: loss,
      queries: queries, eot: eot)
    for setting in settings {
      guard let (name, value) = nameAndValue(setting), !value.isEmpty else {
        throw ValidationError("--set \(setting) is not name=value; expected an attack parameter, such as --set restarts=3.")
      }
      guard asked[name] == nil else {
        throw ValidationError("--set \(setting) sets \(name) a second time; remove one of the two.")
      }
      asked[name] = AttackParameters.Value(value)
    }
    return asked
  }

  /// Makes the evaluation of a model that the options describe, and returns epsilon as typed; nil for clean.
  ///
  /// The run's threat model and PGD are the defaults.
  func job(
    _ model: LoadedModel, _ data: ImageDataset, trained: TrainingConfiguration?, seed: UInt64
  ) throws -> (job: EvaluationJob, radius: Fraction?) {
    let (selection, asked) = (try selection(), try asked())
    if selection.entries.isEmpty {
      return (EvaluationJob(model: model, data: data, plan: EvaluationPlan([], mode: mode), seed: seed), nil)
    }
    let classes = try model.classCount(of: data)
    if let targets = asked.targets, targets > classes - 1 {
      throw ValidationError("--targets is \(targets), but the model has \(classes) classes; expected at most \(classes - 1).")
    }
    let given = try perturbation.resolved(trained, steps: asked.steps)
    let settings = AttackSettings(
      threat: given.threat, version: version ?? .standard, mode: mode, seed: seed, classes: classes, steps: given.steps,
      stepSize: given.stepSize)
    let suite = AttackSuite(settings, asked: asked, published: selection.published)
    return (try EvaluationJob(model: model, data: data, suite: suite, attacks: selection.entries), given.radius)
  }
}
