/// AutoAttack (Croce and Hein, ICML 2020): an ensemble of attacks, in several versions.
public enum AutoAttack {
  /// The versions, by the reference implementation's names.
  public enum Version: String, Sendable, Codable, CaseIterable {
    case standard, plus, rand
    /// A list of attacks with the parameters that the reference's objects are made with.
    case custom
    /// The attacks of `standard`, each by itself.
    case individual

    /// Whether its attacks have the parameters of `standard`.
    var isStandard: Bool { self == .standard || self == .individual }
  }

  /// The attacks of a version, in order.
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
  /// Whether it belongs to AutoAttack, all of whose attacks are in version plus.
  public var isAutoAttack: Bool { AutoAttack.ensemble(.plus).contains { $0.name == name } }
}
