/// Passes through a model, counted in samples.
public struct AttackCost: Sendable, Codable, Equatable {
  public var forward = 0
  public var backward = 0

  public init(forward: Int = 0, backward: Int = 0) {
    self.forward = forward
    self.backward = backward
  }

  static func += (a: inout AttackCost, b: AttackCost) {
    a.forward += b.forward
    a.backward += b.backward
  }
}
