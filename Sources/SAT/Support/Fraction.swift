/// A number as a user types it, such as `8/255` or `0.0314`. It prints as typed and computes in double precision.
public struct Fraction: Sendable, Hashable, CustomStringConvertible {
  public let text: String
  /// The value: one division of numerator by denominator in double precision.
  public let value: Double

  /// Parses a decimal number, or two of them with a slash between; throws `SATError` when `text` is neither.
  public init(_ text: String) throws(SATError) {
    let trimmed = String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    let parts = trimmed.split(separator: "/", omittingEmptySubsequences: false).map { Double($0) }
    let value: Double? =
      switch parts.count {
      case 1: parts[0]
      case 2: if let a = parts[0], let b = parts[1], b != 0 { a / b } else { nil }
      default: nil
      }
    guard let value, value.isFinite else {
      throw SATError("'\(text)' is not a number; expected a decimal such as 0.3 or a fraction such as 8/255")
    }
    self.text = trimmed
    self.value = value
  }

  public init(_ value: Double) {
    self.value = value
    text = value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : "\(value)"
  }

  /// Returns n/255, the usual notation for a radius in pixel values.
  static func over255(_ n: Int) -> Fraction { Fraction(text: "\(n)/255", value: Double(n) / 255) }

  private init(text: String, value: Double) {
    self.text = text
    self.value = value
  }

  public var description: String { text }
}

extension Fraction: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let number = try? container.decode(Double.self), number.isFinite {
      self.init(number)
    } else {
      try self.init(container.decode(String.self))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if text == Fraction(value).text { try container.encode(value) } else { try container.encode(text) }
  }
}

extension Fraction: ExpressibleByFloatLiteral, ExpressibleByIntegerLiteral {
  public init(floatLiteral value: Double) { self.init(value) }
  public init(integerLiteral value: Int) { self.init(Double(value)) }
}
