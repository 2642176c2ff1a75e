/// The forward and backward passes through a model, counted in samples.
public struct AttackCost: Sendable, Codable, Equatable {
  public var forward = 0
  public var backward = 0

  public init(forward: Int = 0, backward: Int = 0) {
    self.forward = forward
    self.backward = backward
  }

  /// The number of forward passes that take the same time; a backward pass counts as two.
  var passes: Int { forward + 2 * backward }

  static func += (a: inout AttackCost, b: AttackCost) {
    a.forward += b.forward
    a.backward += b.backward
  }

  static func - (a: AttackCost, b: AttackCost) -> AttackCost {
    AttackCost(forward: a.forward - b.forward, backward: a.backward - b.backward)
  }
}
