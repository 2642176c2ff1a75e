/// Attacks by the names users type, with the parameters that AutoAttack's versions give them.
public struct AttackSuite: Sendable {
  /// AutoAttack's own names; `custom` is a list with the parameters that its objects are made with.
  public enum Version: String, Sendable, Codable, CaseIterable {
    case standard, plus, rand, custom, individual
  }

  public enum Name: String, Sendable, CaseIterable {
    case fgsm, pgd, square

    /// Whether it is one of the ensemble.
    public var isAutoAttack: Bool { self != .fgsm && self != .pgd }
  }

  public var threat: ThreatModel
  public var version: Version
  public var mode: AttackMode
  public var seed: UInt64
  /// Number of the model's classes.
  public var classes: Int
  /// Of PGD.
  public var steps: Int
  public var stepSize: Double
  public var restarts: Int

  /// - Parameters:
  ///   - steps: of PGD, as `stepSize` and `restarts`.
  public init(
    threat: ThreatModel, version: Version = .standard, mode: AttackMode = .fast, seed: UInt64, classes: Int, steps: Int = 40,
    stepSize: Double? = nil, restarts: Int = 1
  ) {
    (self.threat, self.version, self.mode, self.seed, self.classes) = (threat, version, mode, seed, classes)
    (self.steps, self.stepSize, self.restarts) = (steps, stepSize ?? 2.5 * threat.epsilon / Double(steps), restarts)
  }

  /// The attacks of a version, in order.
  public static func ensemble(_ version: Version) -> [Name] {
    switch version {
    case .standard, .individual, .plus, .rand: [.square]
    case .custom: []
    }
  }

  /// The attacks of that name that are defined for so few classes, and what was changed.
  ///
  /// - Throws: `SATError` when none is.
  public func attacks(_ names: [Name]) throws(SATError) -> (attacks: [any Attack], warning: Evaluation.Warning?) {
    guard classes >= 2 else {
      throw SATError("the model has \(classes) class, so no image can be misclassified; expected a classifier of at least two")
    }
    let left = names.filter { classes < $0.fewestClasses }
    let run = names.filter { classes >= $0.fewestClasses }
    guard !run.isEmpty else {
      let needed = names.map(\.fewestClasses).max() ?? 2
      throw SATError(
        "\(names.map(\.rawValue).joined(separator: ", ")) needs a model of at least \(needed) classes, and this one has \(classes); "
          + "use apgd-ce, fab-t or square")
    }
    var changes: [String] = []
    if !left.isEmpty { changes.append("\(left.map(\.rawValue).joined(separator: " and ")) was left out, whose loss is not defined") }
    let warning: Evaluation.Warning? =
      changes.isEmpty
      ? nil
      : .init(code: .fewClasses, message: "with \(classes) classes the ensemble is not the published one: \(changes.joined(separator: "; "))")
    return (run.map(make), warning)
  }

  private func make(_ name: Name) -> any Attack {
    switch name {
    case .fgsm: return FGSM(threat: threat)
    case .pgd:
      return PGD(InnerMaximizer(threat: threat, steps: steps, stepSize: stepSize), restarts: restarts, seed: seed)
    case .square: return Square(threat: threat, mode: mode, seed: seed)
    }
  }
}

extension AttackSuite.Name {
  var fewestClasses: Int { 2 }
}
