/// A setting that takes one of a few words; the error for any other word lists them all.
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

/// The ranges that user input must stay in.
///
/// Each bound lies beyond any sensible use, and far below the values that exhaust memory, float32 or integer arithmetic.
public enum Limit {
  public static let epochs = 1...1_000_000
  /// The number of an epoch in a schedule or a warm-up, from 0.
  public static let epoch = 0...1_000_000
  public static let batchSize = 1...1_000_000
  /// Samples in a data set.
  public static let samples = 1...1_000_000_000
  public static let threads = 1...1_024
  /// Steps of an attack or of an iterative method.
  public static let steps = 1...1_000_000
  /// Restarts of an attack; an attack computes all restarts of a sample together.
  public static let restarts = 1...1_000
  public static let classes = 2...100_000
  /// Random vectors for an estimate.
  public static let probes = 2...1_000_000
  /// A number without a unit that is not a fraction; a product of a few such numbers still fits in float32.
  public static let number = 0...1e6
}
