/// Makes attacks from their entries: the defaults of a version of AutoAttack, with the user's overrides.
public struct AttackSuite: Sendable {
  public var settings: AttackSettings
  /// The user's overrides, which apply to every attack that has the parameter.
  public var asked: AttackParameters
  /// The names of the attacks that keep the version's parameters and ignore the overrides.
  public var published: Set<String>

  public init(_ settings: AttackSettings, asked: AttackParameters = AttackParameters(), published: Set<String> = []) {
    self.settings = settings
    self.asked = asked
    self.published = published
  }

  /// Returns true if overrides change an attack of AutoAttack that is not published.
  public static func changesAutoAttack(
    _ asked: AttackParameters, _ entries: [AttackEntry], published: Set<String> = []
  ) -> Bool {
    entries.contains { entry in
      entry.isAutoAttack && !published.contains(entry.name) && asked.values.contains { entry.takes($0.name) }
    }
  }

  /// Returns the version for a document: nil if no attack of AutoAttack runs, custom if overrides change one of them.
  func version(of entries: [AttackEntry]) -> AutoAttack.Version? {
    if settings.version == .individual { return .individual }
    guard entries.contains(where: \.isAutoAttack) else { return nil }
    return Self.changesAutoAttack(asked, entries, published: published) ? .custom : settings.version
  }

  /// Makes the plan of an evaluation, with a warning if a small number of classes changes the ensemble.
  ///
  /// - Throws: The errors of `attacks`.
  func plan(_ entries: [AttackEntry]) throws(SATError) -> (plan: EvaluationPlan, warning: Evaluation.Warning?) {
    let (attacks, warning) = try attacks(entries)
    // A model whose gradients are averaged over passes is a random model.
    let isRandom = settings.version == .rand || attacks.contains { $0.parameters.eot ?? 1 > 1 }
    let plan = EvaluationPlan(
      attacks, isIndividual: settings.version == .individual, mode: settings.mode, expectsRandomness: isRandom)
    return (plan, warning)
  }

  private typealias Candidate = (entry: AttackEntry, own: AttackParameters)

  /// Makes the attacks that are defined for the model's number of classes, with a warning if that changes the ensemble.
  ///
  /// - Throws: `SATError` if no attack is defined for so few classes, or an attack cannot run with its parameters.
  public func attacks(
    _ entries: [AttackEntry]
  ) throws(SATError) -> (attacks: [any Attack], warning: Evaluation.Warning?) {
    let classes = settings.classes
    guard classes >= 2 else {
      throw SATError("the model has \(classes) class, so no image can be misclassified; expected a classifier of at least two")
    }
    let all: [Candidate] = try entries.map { (entry) throws(SATError) in
      (entry, try entry.parameters(settings, asked: published.contains(entry.name) ? AttackParameters() : asked))
    }
    let defined = all.filter { classes >= $0.entry.minimumClasses($0.own) }
    guard !defined.isEmpty else { throw tooFewClasses(all) }
    let attacks = try defined.map { (candidate) throws(SATError) in try candidate.entry.attack(settings, candidate.own) }
    return (attacks, fewClasses(defined, left: all.filter { classes < $0.entry.minimumClasses($0.own) }))
  }

  /// Returns a warning if the ensemble differs from the published one because the model has few classes.
  private func fewClasses(_ run: [Candidate], left: [Candidate]) -> Evaluation.Warning? {
    let classes = settings.classes
    var changes: [String] = []
    if run.contains(where: { $0.entry.isAutoAttack && classes <= $0.own.targets ?? 0 }) {
      changes.append(classes == 2 ? "there is 1 target class" : "there are \(classes - 1) target classes")
    }
    let names = left.map(\.entry.name)
    if names.count == 1 { changes.append("\(names[0]) was left out, because its loss is not defined") }
    if names.count > 1 { changes.append("\(names.joined(separator: " and ")) were left out, because their losses are not defined") }
    guard !changes.isEmpty else { return nil }
    let message = "with \(classes) classes the ensemble is not the published one: \(changes.joined(separator: "; "))"
    return .init(code: .fewClasses, message: message)
  }

  private func tooFewClasses(_ candidates: [Candidate]) -> SATError {
    let needed = candidates.map { $0.entry.minimumClasses($0.own) }.min() ?? 2
    let names = candidates.map(\.entry.name).joined(separator: ", ")
    let possible = AttackRegistry.entries.filter { entry in
      (try? entry.parameters(settings)).map { settings.classes >= entry.minimumClasses($0) } ?? false
    }.map(\.name)
    let advice =
      candidates.contains { $0.entry.takes(AttackParameters.Shared.loss.rawValue) }
      ? "use the loss ce or margin, which need only two" : "use one of \(possible.joined(separator: ", "))"
    return SATError(
      "\(names) \(candidates.count == 1 ? "needs" : "need") a model of at least \(needed) classes, and this model has "
        + "\(settings.classes); \(advice)")
  }
}
