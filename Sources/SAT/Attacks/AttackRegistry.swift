/// The attacks that `sat evaluate --attack` knows. Adding one takes a file with its `entry`, and a line here.
public enum AttackRegistry {
  public static let entries: [AttackEntry] = [
    PGD.fgsmEntry,
    PGD.entry,
    APGD.crossEntropyEntry,
    APGD.dlrEntry,
    APGD.targetedEntry,
    FAB.entry,
    FAB.targetedEntry,
    Square.entry,
  ]

  /// The attack of a name; nil where no attack has it.
  public static func entry(named name: String) -> AttackEntry? { entries.first { $0.name == name } }
}

/// What attacks are made from, beside their parameters.
public struct AttackSettings: Sendable {
  public var threat: ThreatModel
  /// The version of AutoAttack whose parameters its attacks take.
  public var version: AutoAttack.Version
  public var mode: AttackMode
  public var seed: UInt64
  /// Number of the model's classes.
  public var classes: Int
  /// Steps of PGD by default, such as those it took in training.
  public var steps: Int
  /// Step size of PGD by default; nil for 2.5 * epsilon / steps.
  public var stepSize: Double?

  public init(
    threat: ThreatModel, version: AutoAttack.Version = .standard, mode: AttackMode = .fast, seed: UInt64, classes: Int,
    steps: Int = 40, stepSize: Double? = nil
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

/// One attack as users name it: what it is, which parameters it takes, what it needs, and how it is made.
///
/// An attack's file declares its entry, and `AttackRegistry` lists it.
public struct AttackEntry: Sendable {
  /// The name that users type and reports show, e.g. "apgd-ce".
  public let name: String
  /// What the attack does, in a few words.
  public let summary: String
  /// In the order in which help lists them.
  public let parameters: [AttackParameter]
  /// The norms it can perturb in.
  public let norms: [Norm]
  /// Whether it differentiates the model.
  public let needsGradients: Bool
  /// How many classes it needs with these parameters.
  let minimumClasses: @Sendable (AttackParameters) -> Int
  /// Refuses parameters that are in their ranges and yet do not go together.
  let check: @Sendable (AttackSettings, AttackParameters) throws(SATError) -> Void
  /// The parameters hold a value for each of `parameters`.
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

  /// Whether it has a parameter of that name.
  public func takes(_ parameter: String) -> Bool { parameters.contains { $0.name == parameter } }

  /// The values it runs with: those asked for, else its defaults. Ignores values that it has no parameter for.
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

  /// The attack with these parameters, all of which are in their ranges.
  ///
  /// - Throws: `SATError` for a norm or parameters that it cannot run with.
  func attack(_ settings: AttackSettings, _ own: AttackParameters) throws(SATError) -> any Attack {
    guard norms.contains(settings.threat.norm) else {
      let known = norms.map(\.rawValue).joined(separator: " or ")
      throw SATError("\(name) perturbs in \(known), not in \(settings.threat.norm.rawValue); choose another norm or attack")
    }
    try check(settings, own)
    return make(settings, own)
  }
}
