/// A parameter of one attack: its name, its allowed values and its default.
public struct AttackParameter: Sendable {
  /// The kind of a parameter's value, with the allowed values.
  public enum Kind: Sendable {
    case whole(ClosedRange<Int>)
    case number(ClosedRange<Double>)
    /// A number of target classes, with the smallest allowed number.
    case targets(from: Int)
    case choice([String])
  }

  /// Returns the default, from the settings and the parameters that are listed before this one.
  typealias Default<Value> = @Sendable (AttackSettings, AttackParameters) -> Value

  public let name: String
  public let kind: Kind
  let standard: Default<AttackParameters.Value>
  /// The default in words; nil for a default that is a number or a word of its own.
  private(set) var defaultInWords: String?

  /// All numbers above 0.
  static let positive = Double.leastNormalMagnitude...Limit.number.upperBound

  static func whole(_ name: String, in range: ClosedRange<Int>, _ standard: @escaping Default<Int>) -> AttackParameter {
    AttackParameter(name: name, kind: .whole(range)) { .whole(standard($0, $1)) }
  }

  static func number(_ name: String, in range: ClosedRange<Double>, _ standard: @escaping Default<Double>) -> AttackParameter {
    AttackParameter(name: name, kind: .number(range)) { .number(standard($0, $1)) }
  }

  /// Returns the parameter with its default in words, for a default that follows from other settings.
  func standing(for words: String) -> AttackParameter {
    var described = self
    described.defaultInWords = words
    return described
  }

  /// Describes the allowed values in words. `classes` is the model's number of classes; nil if it is not known yet.
  public func expectation(classes: Int? = nil) -> String {
    switch kind {
    case .whole(let range): "\(range.lowerBound) to \(range.upperBound)"
    case .number(let range) where range.lowerBound == Self.positive.lowerBound: "more than 0, at most \(Fraction(range.upperBound))"
    case .number(let range): "\(Fraction(range.lowerBound)) to \(Fraction(range.upperBound))"
    case .targets(let least): classes.map { "\(least) to \($0 - 1)" } ?? "at least \(least)"
    case .choice(let choices): choices.joined(separator: " or ")
    }
  }

  /// Returns true if a value is allowed. The check does not depend on the model's number of classes.
  public func accepts(_ value: AttackParameters.Value) -> Bool {
    switch kind {
    case .whole(let range): value.whole.map(range.contains) ?? false
    case .number(let range): value.number.map(range.contains) ?? false
    case .targets(let least): value.whole.map { $0 >= least && $0 <= Limit.classes.upperBound } ?? false
    case .choice(let choices): choices.contains(value.description)
    }
  }
}

/// The parameters that several attacks share. The caller gives the default for its attack.
extension AttackParameter {
  static func steps(_ standard: @escaping Default<Int>) -> AttackParameter { whole(.steps, in: Limit.steps, standard) }
  static func restarts(_ standard: @escaping Default<Int>) -> AttackParameter { whole(.restarts, in: Limit.restarts, standard) }
  static func queries(_ standard: @escaping Default<Int>) -> AttackParameter { whole(.queries, in: Limit.steps, standard) }
  static func eot(_ standard: @escaping Default<Int>) -> AttackParameter { whole(.eot, in: Limit.restarts, standard) }

  private static func whole(
    _ name: AttackParameters.Shared, in range: ClosedRange<Int>, _ standard: @escaping Default<Int>
  ) -> AttackParameter { whole(name.rawValue, in: range, standard) }

  static func stepSize(_ standard: @escaping Default<Double>) -> AttackParameter {
    number(AttackParameters.Shared.stepSize.rawValue, in: positive, standard)
  }

  /// Makes the parameter `targets` with its smallest number; 0 if the attack can also run untargeted.
  static func targets(from least: Int, _ standard: @escaping Default<Int>) -> AttackParameter {
    AttackParameter(name: AttackParameters.Shared.targets.rawValue, kind: .targets(from: least)) { .whole(standard($0, $1)) }
  }

  static func loss(_ standard: AttackLoss) -> AttackParameter {
    AttackParameter(name: AttackParameters.Shared.loss.rawValue, kind: .choice(AttackLoss.allCases.map(\.rawValue))) { _, _ in
      .word(standard.rawValue)
    }
  }
}
