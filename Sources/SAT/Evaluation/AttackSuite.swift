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
  /// Of PGD and FGSM.
  public var loss: AttackLoss
  public var targets: Int

  /// - Parameters:
  ///   - steps: of PGD, as `stepSize` and `restarts`.
  ///   - loss: of PGD and FGSM, as `targets`, the number of classes they steer to one after the other.
  public init(
    threat: ThreatModel, version: Version = .standard, mode: AttackMode = .fast, seed: UInt64, classes: Int, steps: Int = 40,
    stepSize: Double? = nil, restarts: Int = 1, loss: AttackLoss = .crossEntropy, targets: Int = 0
  ) {
    (self.loss, self.targets) = (loss, targets)
    (self.threat, self.version, self.mode, self.seed, self.classes) = (threat, version, mode, seed, classes)
    (self.steps, self.stepSize, self.restarts) = (steps, stepSize ?? 2.5 * threat.epsilon / Double(steps), restarts)
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
  /// - Throws: `SATError` when none is.
  public func attacks(_ names: [Name]) throws(SATError) -> (attacks: [any Attack], warning: Evaluation.Warning?) {
    guard classes >= 2 else {
      throw SATError("the model has \(classes) class, so no image can be misclassified; expected a classifier of at least two")
    }
    let left = names.filter { classes < fewestClasses($0) }
    let run = names.filter { classes >= fewestClasses($0) }
    guard !run.isEmpty else {
      let needed = names.map(fewestClasses).max() ?? 2
      throw SATError(
        "\(names.map(\.rawValue).joined(separator: ", ")) needs a model of at least \(needed) classes, and this one has \(classes); "
          + "use apgd-ce, fab-t or square")
    }
    var changes: [String] = []
    let wanted = version == .standard && threat.norm == .l1 ? 5 : 9
    if run.contains(where: { $0 == .apgdT || $0 == .fabT }), classes - 1 < wanted { changes.append("there are \(classes - 1) target classes") }
    if !left.isEmpty { changes.append("\(left.map(\.rawValue).joined(separator: " and ")) was left out, whose loss is not defined") }
    let warning: Evaluation.Warning? =
      changes.isEmpty
      ? nil
      : .init(code: .fewClasses, message: "with \(classes) classes the ensemble is not the published one: \(changes.joined(separator: "; "))")
    return (run.map(make), warning)
  }

  private func make(_ name: Name) -> any Attack {
    let isStandard = version == .standard || version == .individual
    let isStandardL1 = isStandard && threat.norm == .l1
    switch name {
    case .fgsm: return PGD.fgsm(threat: threat, loss: loss, targets: targets)
    case .pgd:
      return PGD(
        InnerMaximizer(threat: threat, steps: steps, stepSize: stepSize), loss: loss, targets: targets, restarts: restarts, seed: seed)
    case .apgdCE, .apgdDLR:
      return APGD(
        threat: threat, loss: name == .apgdCE ? .crossEntropy : .dlr,
        restarts: version == .rand || (isStandard && !isStandardL1) ? 1 : 5, passes: version == .rand ? 20 : 1,
        usesLargeRadii: isStandardL1, mode: mode, seed: seed)
    case .apgdT:
      return APGD(
        threat: threat, loss: .dlr, targets: isStandardL1 ? 5 : 9, usesLargeRadii: isStandardL1, mode: mode, seed: seed)
    case .fab: return FAB(threat: threat, restarts: 5, mode: mode, seed: seed)
    case .fabT: return FAB(threat: threat, targets: 9, mode: mode, seed: seed)
    case .square: return Square(threat: threat, mode: mode, seed: seed)
    }
  }

  private func fewestClasses(_ name: Name) -> Int {
    switch name {
    case .fgsm, .pgd: loss.minimumClasses(isTargeted: targets > 0)
    case .apgdDLR: AttackLoss.dlr.minimumClasses(isTargeted: false)
    case .apgdT: AttackLoss.dlr.minimumClasses(isTargeted: true)
    case .apgdCE, .fab, .fabT, .square: 2
    }
  }
}
