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
