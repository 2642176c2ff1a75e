/// The numbers an attack runs with; as something a user asks for, nil is what the attack has anyway.
public struct AttackParameters: Sendable, Equatable, Codable {
  /// Steps along gradients, per restart.
  public var steps: Int?
  /// Length of a step, in the images' units, of attacks that do not set it themselves.
  public var stepSize: Double?
  /// Starts, each in the full number of steps or queries.
  public var restarts: Int?
  /// Classes steered to one after the other, the likeliest first; 0 for away from the label.
  public var targets: Int?
  /// What is ascended.
  public var loss: AttackLoss?
  /// Questions to the model after the starting point, per restart.
  public var queries: Int?
  /// Passes whose gradients are averaged (expectation over transformation), for models that draw.
  public var eot: Int?

  public init(
    steps: Int? = nil, stepSize: Double? = nil, restarts: Int? = nil, targets: Int? = nil, loss: AttackLoss? = nil, queries: Int? = nil,
    eot: Int? = nil
  ) {
    (self.steps, self.stepSize, self.restarts, self.targets) = (steps, stepSize, restarts, targets)
    (self.loss, self.queries, self.eot) = (loss, queries, eot)
  }

  /// The parameters by the names of the options that set them.
  public enum Name: String, Sendable, CaseIterable {
    case steps
    case stepSize = "step-size"
    case restarts, targets, loss, queries, eot
  }

  /// Name and value of those that are there.
  public var values: [(name: Name, value: String)] {
    let all: [(Name, String?)] = [
      (.steps, steps.map(String.init)), (.stepSize, stepSize.map { "\($0)" }), (.restarts, restarts.map(String.init)),
      (.targets, targets.map(String.init)), (.loss, loss?.rawValue), (.queries, queries.map(String.init)), (.eot, eot.map(String.init)),
    ]
    return all.compactMap { name, value in value.map { (name, $0) } }
  }

  /// These with what was asked for in their place; what they lack an attack has no use for.
  func replaced(by asked: AttackParameters) -> AttackParameters {
    func choose<Value>(_ key: KeyPath<AttackParameters, Value?>) -> Value? { self[keyPath: key].map { asked[keyPath: key] ?? $0 } }
    return AttackParameters(
      steps: choose(\.steps), stepSize: choose(\.stepSize), restarts: choose(\.restarts), targets: choose(\.targets), loss: choose(\.loss),
      queries: choose(\.queries), eot: choose(\.eot))
  }
}

extension AttackParameters: CustomStringConvertible {
  public var description: String { values.map { "\($0.name.rawValue) \($0.value)" }.joined(separator: " ") }
}

extension Attack {
  /// What it runs with; nothing for an attack of somebody else's.
  public var parameters: AttackParameters {
    switch self {
    case let apgd as APGD:
      AttackParameters(
        steps: apgd.iterations, restarts: apgd.restarts, targets: apgd.targets > 0 ? apgd.targets : nil, loss: apgd.loss, eot: apgd.passes)
    case let fab as FAB: AttackParameters(steps: fab.iterations, restarts: fab.restarts, targets: fab.targets > 0 ? fab.targets : nil)
    case let square as Square: AttackParameters(restarts: square.restarts, queries: square.queries)
    case let pgd as PGD:
      AttackParameters(steps: pgd.steps, stepSize: pgd.stepSize, restarts: pgd.restarts, targets: pgd.targets, loss: pgd.loss)
    default: AttackParameters()
    }
  }
}
