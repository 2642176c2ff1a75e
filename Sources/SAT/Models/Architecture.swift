public import SwiftTorch

/// A network by its name and options, such as `resnet18` with classes=100.
public struct Architecture: Codable, Sendable, Equatable {
  public var name: String
  /// The options; an absent option has its default.
  public var options: [String: String]

  public init(name: String, options: [String: String] = [:]) {
    self.name = name
    self.options = options
  }

  /// Builds the network; the generator draws its weights now and the masks of dropout later.
  ///
  /// - Throws: `SATError` for an unknown name, option or value.
  public func make(generator: Generator) throws(SATError) -> any Layer {
    let entry = try NetworkCatalog.entry(named: name)
    return entry.build(try resolvedOptions(entry), generator)
  }

  /// Returns the shape [C, H, W] of the network's input images, or throws the errors of `make(generator:)`.
  public func inputShape() throws(SATError) -> [Int] {
    let entry = try NetworkCatalog.entry(named: name)
    return entry.inputShape(try resolvedOptions(entry))
  }

  /// Returns the given options and the defaults of the others, or throws the errors of `make(generator:)`.
  func resolvedOptions() throws(SATError) -> [String: Int] { try resolvedOptions(try NetworkCatalog.entry(named: name)) }

  private func resolvedOptions(_ entry: NetworkCatalog.Entry) throws(SATError) -> [String: Int] {
    var values = entry.defaults
    for (key, text) in options.sorted(by: { $0.key < $1.key }) {
      guard values[key] != nil else {
        throw SATError("\(name) has no option '\(key)'; expected \(entry.defaults.keys.sorted().joined(separator: " or "))")
      }
      let allowed = entry.allowed[key]
      guard let value = Int(text), allowed?.contains(value) ?? Limit.classes.contains(value) else {
        let range = allowed.map(Self.listed) ?? "a whole number from \(Limit.classes.lowerBound) to \(Limit.classes.upperBound)"
        throw SATError("option \(key) of \(name) is '\(text)'; expected \(range)")
      }
      values[key] = value
    }
    return values
  }

  /// Returns words such as "1 or 3". Long lists are evenly spaced, so their ends are enough: "10, 16, 22, … or 106".
  private static func listed(_ values: [Int]) -> String {
    guard values.count > 6, let last = values.last else { return values.map(String.init).joined(separator: " or ") }
    return values.prefix(3).map(String.init).joined(separator: ", ") + ", … or \(last)"
  }
}
