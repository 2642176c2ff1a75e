/// Values of an attack's parameters by name: the attack's own values, or the user's overrides.
public struct AttackParameters: Sendable, Equatable {
  /// The parameters that several attacks share, in the order of documents. `sat evaluate` has an option with the name of each.
  public enum Shared: String, Sendable, CaseIterable {
    /// Gradient steps per restart.
    case steps
    /// The size of a step in pixel units, for attacks that do not choose it themselves.
    case stepSize = "step-size"
    /// The number of starts; each has the full number of steps or queries.
    case restarts
    /// The number of target classes, the likeliest first; 0 for an untargeted attack.
    case targets
    /// The loss that the attack increases.
    case loss
    /// Queries after the starting point, per restart.
    case queries
    /// Passes that average the gradient (expectation over transformation), for random models.
    case eot
  }

  private var held: [String: Value]

  public init(_ values: [String: Value]) { held = values }

  public init(
    steps: Int? = nil, stepSize: Double? = nil, restarts: Int? = nil, targets: Int? = nil, loss: AttackLoss? = nil,
    queries: Int? = nil, eot: Int? = nil
  ) {
    let all: [(Shared, Value?)] = [
      (.steps, steps.map(Value.whole)), (.stepSize, stepSize.map(Value.number)), (.restarts, restarts.map(Value.whole)),
      (.targets, targets.map(Value.whole)), (.loss, loss.map { .word($0.rawValue) }), (.queries, queries.map(Value.whole)),
      (.eot, eot.map(Value.whole)),
    ]
    held = [:]
    for (name, value) in all { held[name.rawValue] = value }
  }

  /// The value of a parameter; nil if it has no value.
  public subscript(name: String) -> Value? {
    get { held[name] }
    set { held[name] = newValue }
  }

  public var steps: Int? { self[Shared.steps.rawValue]?.whole }
  public var stepSize: Double? { self[Shared.stepSize.rawValue]?.number }
  public var restarts: Int? { self[Shared.restarts.rawValue]?.whole }
  public var targets: Int? { self[Shared.targets.rawValue]?.whole }
  public var loss: AttackLoss? { self[Shared.loss.rawValue].flatMap { AttackLoss(rawValue: $0.description) } }
  public var queries: Int? { self[Shared.queries.rawValue]?.whole }
  public var eot: Int? { self[Shared.eot.rawValue]?.whole }

  /// The names and values: first the shared parameters in their order, then the others by name.
  public var values: [(name: String, value: Value)] {
    let shared = Shared.allCases.map(\.rawValue)
    return (shared + held.keys.filter { !shared.contains($0) }.sorted()).compactMap { name in held[name].map { (name, $0) } }
  }
}

extension AttackParameters: CustomStringConvertible {
  public var description: String { values.map { "\($0.name) \($0.value)" }.joined(separator: " ") }
}

extension AttackParameters {
  /// The value of one parameter.
  public enum Value: Sendable, CustomStringConvertible {
    case whole(Int)
    case number(Double)
    case word(String)

    /// Reads a value as a user types it: `20`, `0.3`, `8/255`, `margin`.
    public init(_ text: String) {
      self = Int(text).map(Value.whole) ?? (try? Fraction(text)).map { .number($0.value) } ?? .word(text)
    }

    public var whole: Int? { if case .whole(let value) = self { value } else { nil } }

    /// The number, whole or not; nil for a word.
    public var number: Double? {
      switch self {
      case .whole(let value): Double(value)
      case .number(let value): value
      case .word: nil
      }
    }

    public var description: String {
      switch self {
      case .whole(let value): "\(value)"
      case .number(let value): "\(value)"
      case .word(let value): value
      }
    }
  }
}

extension AttackParameters.Value: Equatable, Codable {
  /// Compares numbers by value, because JSON writes 1 and 1.0 alike.
  public static func == (a: Self, b: Self) -> Bool {
    if case .word(let left) = a, case .word(let right) = b { left == right } else { a.number != nil && a.number == b.number }
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    self =
      try (try? .whole(container.decode(Int.self))) ?? (try? .number(container.decode(Double.self)))
      ?? .word(container.decode(String.self))
  }

  public func encode(to encoder: any Encoder) throws {
    switch self {
    case .whole(let value): try value.encode(to: encoder)
    case .number(let value): try value.encode(to: encoder)
    case .word(let value): try value.encode(to: encoder)
    }
  }
}

/// Documents name parameters in camel case: `stepSize` for `step-size`.
extension AttackParameters: Codable {
  private static func key(_ name: String) -> NamedKey {
    let words = name.split(separator: "-")
    let others = words.dropFirst().map { $0.prefix(1).uppercased() + $0.dropFirst() }
    return NamedKey(stringValue: words.prefix(1).joined() + others.joined())
  }

  private static func name(_ key: NamedKey) -> String {
    key.stringValue.map { $0.isUppercase ? "-\($0.lowercased())" : "\($0)" }.joined()
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: NamedKey.self)
    held = [:]
    for key in container.allKeys { held[Self.name(key)] = try container.decode(Value.self, forKey: key) }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: NamedKey.self)
    for (name, value) in values { try container.encode(value, forKey: Self.key(name)) }
  }
}
