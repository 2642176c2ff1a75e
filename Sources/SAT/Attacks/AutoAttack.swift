/// AutoAttack (Croce and Hein, ICML 2020): an ensemble of attacks, in several versions.
public enum AutoAttack {
  /// The versions, with the reference implementation's names.
  public enum Version: String, Sendable, Codable, CaseIterable {
    case standard, plus, rand
    /// The user's list of attacks, with the defaults of the reference's classes.
    case custom
    /// The attacks of `standard`, each alone.
    case individual

    /// True if the attacks have the parameters of `standard`.
    var isStandard: Bool { self == .standard || self == .individual }
  }

  /// Returns the attacks of a version, in order.
  public static func ensemble(_ version: Version) -> [AttackEntry] {
    switch version {
    case .standard, .individual: [APGD.crossEntropyEntry, APGD.targetedEntry, FAB.targetedEntry, Square.entry]
    case .plus: [APGD.crossEntropyEntry, APGD.dlrEntry, FAB.entry, Square.entry, APGD.targetedEntry, FAB.targetedEntry]
    case .rand: [APGD.crossEntropyEntry, APGD.dlrEntry]
    case .custom: []
    }
  }
}

extension AttackEntry {
  /// True if the attack belongs to AutoAttack. Version plus has all its attacks.
  public var isAutoAttack: Bool { AutoAttack.ensemble(.plus).contains { $0.name == name } }
}
