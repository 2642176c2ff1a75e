/// A value of a configuration that is one of a few words; any other is refused with all of them.
public protocol ConfigurationWord: RawRepresentable, CaseIterable, Codable where RawValue == String {}

extension ConfigurationWord {
  public init(from decoder: any Decoder) throws {
    let word = try decoder.singleValueContainer().decode(String.self)
    guard let value = Self(rawValue: word) else {
      throw SATError(
        "'\(decoder.codingPath.map(\.stringValue).joined(separator: "."))' is '\(word)'; expected one of "
          + Self.allCases.map(\.rawValue).joined(separator: ", "))
    }
    self = value
  }
}

/// What is taken from outside of things that are counted or measured: up to beyond any use, and far below where memory, float32 or
/// the arithmetic of whole numbers gives out.
public enum Limit {
  public static let epochs = 1...1_000_000
  /// Of an epoch in a schedule or a warm-up, from 0.
  public static let epoch = 0...1_000_000
  public static let batchSize = 1...1_000_000
  /// Of a data set.
  public static let samples = 1...1_000_000_000
  public static let threads = 1...1_024
  /// Of an attack, or an iterative method.
  public static let steps = 1...1_000_000
  /// Random starts of an attack, of which those of a sample are worked on together.
  public static let restarts = 1...1_000
  public static let classes = 2...100_000
  /// Random vectors of an estimate.
  public static let probes = 2...1_000_000
  /// A number without a unit that is not a fraction; products of a few of them are numbers of float32 still.
  public static let number = 0...1e6
}
