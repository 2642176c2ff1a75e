/// The attacks that `sat evaluate --attack` knows. A new attack needs a file with its entry, and one line here.
public enum AttackRegistry {
  public static let entries: [AttackEntry] = [
    PGD.fgsmEntry, PGD.entry, APGD.crossEntropyEntry, APGD.dlrEntry, APGD.targetedEntry, FAB.entry, FAB.targetedEntry, Square.entry,
  ]

  /// The attack of an evaluation that names none.
  public static let standard = PGD.entry

  public static func entry(named name: String) -> AttackEntry? { entries.first { $0.name == name } }

  /// Returns the names of the attacks that have a parameter.
  public static func takers(of parameter: String) -> [String] { entries.filter { $0.takes(parameter) }.map(\.name) }

  /// Describes a parameter's default in all attacks that have it, such as "for fab 5; for the others 1".
  ///
  /// The numbers are those of the standard version in L-inf, or in the attack's first norm.
  public static func defaults(of parameter: String) -> String { defaults(of: parameter, in: entries) }

  static func defaults(of parameter: String, in entries: [AttackEntry]) -> String {
    let texts = entries.compactMap { entry in
      let norm = entry.norms.contains(.linf) ? .linf : entry.norms[0]
      return entry.defaultText(of: parameter, .standard, norm).map { (name: entry.name, text: $0) }
    }
    let groups = Dictionary(grouping: texts, by: \.text).sorted { ($0.value.count, $1.key) < ($1.value.count, $0.key) }
    guard let common = groups.last, groups.count > 1 else { return groups.first?.key ?? "none" }
    let others = groups.dropLast().map { "for \($0.value.map(\.name).joined(separator: ", ")) \($0.key)" }
    return (others + ["for the others \(common.key)"]).joined(separator: "; ")
  }

  /// Returns true if a version of AutoAttack or a norm changes the default of a parameter in an attack.
  public static func dependsOnVersion(_ parameter: String) -> Bool { dependsOnVersion(parameter, in: entries) }

  static func dependsOnVersion(_ parameter: String, in entries: [AttackEntry]) -> Bool {
    entries.contains { entry in
      let texts = entry.norms.flatMap { norm in AutoAttack.Version.allCases.map { entry.defaultText(of: parameter, $0, norm) } }
      return Set(texts).count > 1
    }
  }
}

/// The settings that all attacks of an evaluation share.
public struct AttackSettings: Sendable {
  public var threat: ThreatModel
  /// The version of AutoAttack that sets the parameters of its attacks.
  public var version: AutoAttack.Version
  public var mode: AttackMode
  public var seed: UInt64
  /// The number of the model's classes.
  public var classes: Int
  /// PGD's default number of steps, such as the number in training.
  public var steps: Int
  /// PGD's default step size; nil for `PGD.defaultStepSize`.
  public var stepSize: Double?

  public init(
    threat: ThreatModel, version: AutoAttack.Version = .standard, mode: AttackMode = .fast, seed: UInt64, classes: Int,
    steps: Int = PGD.defaultSteps, stepSize: Double? = nil
  ) {
    self.threat = threat
    self.version = version
    self.mode = mode
    self.seed = seed
    self.classes = classes
    self.steps = steps
    self.stepSize = stepSize
  }
}

/// An attack that users can name. The attack's file declares the entry, and `AttackRegistry` lists it.
public struct AttackEntry: Sendable {
  /// The name that users type and reports show, such as "apgd-ce".
  public let name: String
  public let summary: String
  /// The parameters, in the order of the help text.
  public let parameters: [AttackParameter]
  public let norms: [Norm]
  public let needsGradients: Bool
  /// Returns the smallest number of classes for these parameters.
  let minimumClasses: @Sendable (AttackParameters) -> Int
  /// Throws if the parameters are in their ranges but do not fit together.
  let check: @Sendable (AttackSettings, AttackParameters) throws(SATError) -> Void
  /// Makes the attack from a value for each of `parameters`.
  let make: @Sendable (AttackSettings, AttackParameters) -> any Attack

  init<A: Attack>(
    name: String, summary: String, norms: [Norm] = Norm.allCases, parameters: [AttackParameter],
    minimumClasses: @escaping @Sendable (AttackParameters) -> Int = { _ in 2 },
    check: @escaping @Sendable (AttackSettings, AttackParameters) throws(SATError) -> Void = { (_, _) throws(SATError) in },
    make: @escaping @Sendable (AttackSettings, AttackParameters) -> A
  ) {
    self.name = name
    self.summary = summary
    self.parameters = parameters
    self.norms = norms
    needsGradients = A.needsGradients
    self.minimumClasses = minimumClasses
    self.check = check
    self.make = make
  }

  public func takes(_ parameter: String) -> Bool { parameters.contains { $0.name == parameter } }

  /// Returns a parameter's default in words or as a number; nil if the attack does not have the parameter.
  fileprivate func defaultText(of parameter: String, _ version: AutoAttack.Version, _ norm: Norm) -> String? {
    guard let found = parameters.first(where: { $0.name == parameter }) else { return nil }
    if let words = found.defaultInWords { return words }
    guard let threat = try? ThreatModel(norm: norm, epsilon: 0.1) else { return nil }
    return try? parameters(AttackSettings(threat: threat, version: version, seed: 0, classes: 10))[parameter]?.description
  }

  /// Returns the attack's defaults with the overrides in `asked`, but ignores those of parameters that the attack does not have.
  ///
  /// - Throws: `SATError` for a value outside its parameter's range.
  public func parameters(
    _ settings: AttackSettings, asked: AttackParameters = AttackParameters()
  ) throws(SATError) -> AttackParameters {
    var own = AttackParameters()
    for parameter in parameters {
      let value = asked[parameter.name] ?? parameter.standard(settings, own)
      guard parameter.accepts(value) else {
        throw SATError("\(parameter.name) of \(name) is \(value); expected \(parameter.expectation(classes: settings.classes))")
      }
      own[parameter.name] = value
    }
    return own
  }

  /// Makes the attack with parameters that are in their ranges.
  ///
  /// - Throws: `SATError` if the attack cannot run with the norm or the parameters.
  func attack(_ settings: AttackSettings, _ own: AttackParameters) throws(SATError) -> any Attack {
    guard norms.contains(settings.threat.norm) else {
      let known = norms.map(\.rawValue).joined(separator: " or ")
      throw SATError("\(name) supports \(known), not \(settings.threat.norm.rawValue); choose another norm or attack")
    }
    try check(settings, own)
    return make(settings, own)
  }
}
