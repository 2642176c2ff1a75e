/// Attacks by the names users type, with the parameters that AutoAttack's versions give them.
public struct AttackSuite: Sendable {
  /// AutoAttack's own names; `custom` is a list with the parameters that its objects are made with.
  public enum Version: String, Sendable, Codable, CaseIterable {
    case standard, plus, rand, custom, individual
  }

  public enum Name: String, Sendable, CaseIterable {
    case fgsm, pgd
    case apgdCE = "apgd-ce"
    case apgdDLR = "apgd-dlr"
    case apgdT = "apgd-t"
    case fab
    case fabT = "fab-t"
    case square

    /// Whether it is one of the ensemble.
    public var isAutoAttack: Bool { self != .fgsm && self != .pgd }

    /// What can be asked of it.
    public var parameters: [AttackParameters.Name] {
      switch self {
      case .fgsm: [.targets, .loss]
      case .pgd: [.steps, .stepSize, .restarts, .targets, .loss]
      case .apgdCE, .apgdDLR: [.steps, .restarts, .eot]
      case .apgdT: [.steps, .restarts, .targets, .eot]
      case .fab: [.steps, .restarts]
      case .fabT: [.steps, .restarts, .targets]
      case .square: [.restarts, .queries]
      }
    }
  }

  public var threat: ThreatModel
  public var version: Version
  public var mode: AttackMode
  public var seed: UInt64
  /// Number of the model's classes.
  public var classes: Int
  /// What is asked for in place of the version's own parameters.
  public var asked: AttackParameters
  /// Of PGD, where nothing else is asked for.
  private let steps: Int
  private let stepSize: Double

  /// - Parameters:
  ///   - steps: of PGD unless asked for otherwise, as `stepSize`, whose default is 2.5 * epsilon / steps.
  ///   - asked: reaches every attack that has such a parameter, in place of what the version gives it.
  public init(
    threat: ThreatModel, version: Version = .standard, mode: AttackMode = .fast, seed: UInt64, classes: Int, steps: Int = 40,
    stepSize: Double? = nil, asked: AttackParameters = AttackParameters()
  ) {
    (self.threat, self.version, self.mode, self.seed, self.classes) = (threat, version, mode, seed, classes)
    (self.steps, self.asked) = (steps, asked)
    self.stepSize = stepSize ?? 2.5 * threat.epsilon / Double(asked.steps ?? steps)
  }

  /// The attacks of a version, in order.
  public static func ensemble(_ version: Version) -> [Name] {
    switch version {
    case .standard, .individual: [.apgdCE, .apgdT, .fabT, .square]
    case .plus: [.apgdCE, .apgdDLR, .fab, .square, .apgdT, .fabT]
    case .rand: [.apgdCE, .apgdDLR]
    case .custom: []
    }
  }

  /// The attacks of that name that are defined for so few classes, and what was changed.
  ///
  /// - Parameter published: those that keep the version's parameters, whatever is asked for.
  /// - Throws: `SATError` when none is, or what is asked for cannot be.
  public func attacks(_ names: [Name], published: Set<Name> = []) throws(SATError) -> (attacks: [any Attack], warning: Evaluation.Warning?) {
    guard classes >= 2 else {
      throw SATError("the model has \(classes) class, so no image can be misclassified; expected a classifier of at least two")
    }
    let own = names.map { ($0, published.contains($0) ? self.published($0) : self.published($0).replaced(by: asked)) }
    let (run, left) = (own.filter { classes >= fewestClasses($0.0, $0.1) }, own.filter { classes < fewestClasses($0.0, $0.1) })
    guard !run.isEmpty else { throw tooFewClasses(own) }
    for (name, parameters) in run { try check(name, parameters) }
    var changes: [String] = []
    if run.contains(where: { ($0.0 == .apgdT || $0.0 == .fabT) && classes <= $0.1.targets ?? 0 }) {
      changes.append(classes == 2 ? "there is 1 target class" : "there are \(classes - 1) target classes")
    }
    if left.count == 1 { changes.append("\(left[0].0.rawValue) was left out, whose loss is not defined") }
    if left.count > 1 {
      changes.append("\(left.map(\.0.rawValue).joined(separator: " and ")) were left out, whose losses are not defined")
    }
    let warning: Evaluation.Warning? =
      changes.isEmpty
      ? nil
      : .init(code: .fewClasses, message: "with \(classes) classes the ensemble is not the published one: \(changes.joined(separator: "; "))")
    return (run.map(make), warning)
  }

  /// What the version gives an attack; nil for what it has no use for.
  public func published(_ name: Name) -> AttackParameters {
    let isStandard = version == .standard || version == .individual
    switch name {
    case .fgsm: return AttackParameters(targets: 0, loss: .crossEntropy)
    case .pgd: return AttackParameters(steps: steps, stepSize: stepSize, restarts: 1, targets: 0, loss: .crossEntropy)
    case .apgdCE, .apgdDLR:
      return AttackParameters(
        steps: 100, restarts: version == .rand || (isStandard && threat.norm != .l1) ? 1 : 5, eot: version == .rand ? 20 : 1)
    case .apgdT: return AttackParameters(steps: 100, restarts: 1, targets: usesLargeRadii ? 5 : 9, eot: 1)
    case .fab: return AttackParameters(steps: 100, restarts: 5)
    case .fabT: return AttackParameters(steps: 100, restarts: 1, targets: 9)
    case .square: return AttackParameters(restarts: 1, queries: 5000)
    }
  }

  /// APGD of the standard version, in L1 only.
  private var usesLargeRadii: Bool { (version == .standard || version == .individual) && threat.norm == .l1 }

  private func make(_ name: Name, _ own: AttackParameters) -> any Attack {
    let (targets, restarts) = (own.targets ?? 0, own.restarts ?? 1)
    switch name {
    case .fgsm: return PGD.fgsm(threat: threat, loss: own.loss!, targets: targets)
    case .pgd:
      return PGD(
        InnerMaximizer(threat: threat, steps: own.steps!, stepSize: own.stepSize!), loss: own.loss!, targets: targets, restarts: restarts,
        seed: seed)
    case .apgdCE, .apgdDLR, .apgdT:
      return APGD(
        threat: threat, loss: name == .apgdCE ? .crossEntropy : .dlr, targets: targets, restarts: restarts, iterations: own.steps!,
        passes: own.eot!, usesLargeRadii: usesLargeRadii, mode: mode, seed: seed)
    case .fab, .fabT: return FAB(threat: threat, targets: targets, restarts: restarts, iterations: own.steps!, mode: mode, seed: seed)
    case .square: return Square(threat: threat, mode: mode, seed: seed, queries: own.queries!, restarts: restarts)
    }
  }

  /// What was asked for and cannot be.
  private func check(_ name: Name, _ own: AttackParameters) throws(SATError) {
    if name == .apgdT || name == .fabT, own.targets == 0 {
      throw SATError("\(name.rawValue) steers to classes, so 0 targets leave it nothing to do; expected 1 to \(classes - 1)")
    }
    // Three runs, the last of which is the attack.
    if usesLargeRadii, name == .apgdCE || name == .apgdDLR || name == .apgdT, let steps = own.steps, steps < 5 {
      throw SATError(
        "\(name.rawValue) divides its steps among three radii in L1, of which \(steps) leave none for the last; expected at least 5, or "
          + "version custom, which has one radius")
    }
  }

  private func fewestClasses(_ name: Name, _ own: AttackParameters) -> Int {
    switch name {
    case .fgsm, .pgd: own.loss!.minimumClasses(isTargeted: own.targets! > 0)
    case .apgdDLR: AttackLoss.dlr.minimumClasses(isTargeted: false)
    case .apgdT: AttackLoss.dlr.minimumClasses(isTargeted: true)
    case .apgdCE, .fab, .fabT, .square: 2
    }
  }

  private func tooFewClasses(_ own: [(Name, AttackParameters)]) -> SATError {
    let needed = own.map(fewestClasses).min() ?? 2
    let advice =
      own.allSatisfy { $0.0.isAutoAttack } ? "use apgd-ce, fab-t or square" : "use the loss ce or margin, which are defined for two"
    return SATError(
      "\(own.map(\.0.rawValue).joined(separator: ", ")) \(own.count == 1 ? "needs" : "need") a model of at least \(needed) classes, and this one "
        + "has \(classes); \(advice)")
  }
}
