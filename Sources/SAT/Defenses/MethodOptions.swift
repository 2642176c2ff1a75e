/// A setting of one method, `methodOptions.NAME` in a configuration.
public struct MethodOption: Sendable {
  /// The kind of an option's value, with the allowed values.
  public enum Kind: Sendable {
    case flag
    case choice([String])
    case whole(ClosedRange<Int>)
    case number(ClosedRange<Double>)
  }

  public let name: String
  /// A short description, with the source of the default.
  public let summary: String
  public let kind: Kind
  public let value: MethodOptions.Value

  static func flag(_ name: String, _ value: Bool, _ summary: String) -> Self {
    .init(name: name, summary: summary, kind: .flag, value: .flag(value))
  }

  static func choice(_ name: String, _ choices: [String], _ summary: String) -> Self {
    .init(name: name, summary: summary, kind: .choice(choices), value: .text(choices[0]))
  }

  static func whole(_ name: String, _ value: Int, from minimum: Int, _ summary: String) -> Self {
    .init(name: name, summary: summary, kind: .whole(minimum...Limit.steps.upperBound), value: .number(Fraction(Double(value))))
  }

  static func number(_ name: String, _ value: Double, in range: ClosedRange<Double> = Limit.number, _ summary: String) -> Self {
    .init(name: name, summary: summary, kind: .number(range), value: .number(Fraction(value)))
  }

  /// The accepted values, in words.
  public var expectation: String {
    switch kind {
    case .flag: "true or false"
    case .choice(let choices): choices.joined(separator: " or ")
    case .whole(let range): "a whole number from \(range.lowerBound) to \(range.upperBound)"
    case .number(let range): "a number from \(Fraction(range.lowerBound)) to \(Fraction(range.upperBound))"
    }
  }

  func accepts(_ value: MethodOptions.Value) -> Bool {
    switch (kind, value) {
    case (.flag, .flag): true
    case (.choice(let choices), .text(let text)): choices.contains(text)
    case (.whole(let range), .number(let number)): Int(exactly: number.value).map(range.contains) ?? false
    case (.number(let range), .number(let number)): range.contains(number.value)
    default: false
    }
  }
}

/// The values of a method's settings, by name; the registry's entry makes and validates them, so none is missing.
public struct MethodOptions: Sendable, Equatable {
  /// The value of one option.
  public enum Value: Sendable, Equatable {
    case flag(Bool)
    case number(Fraction)
    case text(String)
  }

  public var values: [String: Value]

  public init(_ values: [String: Value] = [:]) { self.values = values }

  public init(of entry: DefenseRegistry.Entry) {
    values = Dictionary(uniqueKeysWithValues: entry.options.map { ($0.name, $0.value) })
  }

  func flag(_ name: String) -> Bool { content(name) }
  func number(_ name: String) -> Double { (content(name) as Fraction).value }
  func whole(_ name: String) -> Int { Int(number(name)) }
  func text(_ name: String) -> String { content(name) }

  private func content<Content>(_ name: String) -> Content {
    guard let content = values[name]?.content as? Content else {
      preconditionFailure("the method has no \(Content.self) '\(name)'")
    }
    return content
  }

  /// Checks the values against the method's settings; throws `SATError` for the first that is unknown, missing or out of its range.
  func validate(for entry: DefenseRegistry.Entry) throws(SATError) {
    let known = entry.options.map(\.name)
    if let unknown = values.keys.sorted().first(where: { !known.contains($0) }) {
      let expected = known.isEmpty ? "none" : "one of \(known.joined(separator: ", "))"
      throw SATError("methodOptions.\(unknown) is not a setting of the method \(entry.name); expected \(expected)")
    }
    for option in entry.options {
      guard let value = values[option.name] else {
        throw SATError("methodOptions.\(option.name) of the method \(entry.name) is missing; expected \(option.expectation)")
      }
      guard option.accepts(value) else {
        throw SATError("methodOptions.\(option.name) is \(value); expected \(option.expectation)")
      }
    }
  }
}

extension MethodOptions: Codable {
  public init(from decoder: any Decoder) throws { values = try [String: Value](from: decoder) }
  public func encode(to encoder: any Encoder) throws { try values.encode(to: encoder) }
}

extension MethodOptions.Value: Codable, CustomStringConvertible {
  public init(from decoder: any Decoder) throws {
    if let value = try? Bool(from: decoder) {
      self = .flag(value)
    } else if let value = try? Fraction(from: decoder) {
      self = .number(value)
    } else {
      self = .text(try String(from: decoder))
    }
  }

  public func encode(to encoder: any Encoder) throws { try content.encode(to: encoder) }

  public var description: String { if case .text(let text) = self { "'\(text)'" } else { "\(content)" } }

  fileprivate var content: any Encodable & Sendable {
    switch self {
    case .flag(let value): value
    case .number(let value): value
    case .text(let value): value
    }
  }
}
