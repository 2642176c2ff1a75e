public import SwiftTorch

/// A network by its name and options: `resnet18` with classes=100.
public struct Architecture: Codable, Sendable, Equatable {
  public var name: String
  /// Only those that differ from the defaults need be here.
  public var options: [String: String]

  public init(name: String, options: [String: String] = [:]) { (self.name, self.options) = (name, options) }

  /// Builds the network with fresh weights.
  ///
  /// - Parameter generator: draws the weights, and later the masks of dropout.
  /// - Throws: `SATError` for a name, an option or a value that is not known.
  public func make(generator: Generator) throws(SATError) -> any Layer {
    let entry = try NetworkCatalog.entry(named: name)
    return entry.build(try resolvedOptions(entry), generator)
  }

  /// [C, H, W] of the images it takes.
  ///
  /// - Throws: as `make(generator:)`.
  public func inputShape() throws(SATError) -> [Int] {
    let entry = try NetworkCatalog.entry(named: name)
    return entry.inputShape(try resolvedOptions(entry))
  }

  /// All options of the network: those given, and the defaults of the others.
  ///
  /// - Throws: as `make(generator:)`.
  func resolvedOptions() throws(SATError) -> [String: Int] { try resolvedOptions(try NetworkCatalog.entry(named: name)) }

  private func resolvedOptions(_ entry: NetworkCatalog.Entry) throws(SATError) -> [String: Int] {
    var values = entry.defaults
    for (key, text) in options.sorted(by: { $0.key < $1.key }) {
      guard values[key] != nil else {
        throw SATError("\(name) has no option '\(key)'; expected \(entry.defaults.keys.sorted().joined(separator: " or "))")
      }
      let allowed = entry.allowed[key]
      guard let value = Int(text), allowed?.contains(value) ?? (value >= 2 && value <= 100_000) else {
        let range = allowed.map { $0.map(String.init).joined(separator: " or ") } ?? "a whole number from 2 on"
        throw SATError("option \(key) of \(name) is '\(text)'; expected \(range)")
      }
      values[key] = value
    }
    return values
  }
}

/// The networks `sat` knows. Adding one is a file in `Networks` and an entry here.
public enum NetworkCatalog {
  public struct Entry: Sendable {
    public let name: String
    /// What it is, in a few words.
    public let summary: String
    /// The options and their defaults.
    public let defaults: [String: Int]
    /// Values of the options that take only some.
    public let allowed: [String: [Int]]
    let inputShape: @Sendable ([String: Int]) -> [Int]
    let build: @Sendable ([String: Int], Generator) -> any Layer
  }

  public static let entries: [Entry] = [
    Entry(
      name: "mnist-cnn", summary: "the SAT paper's MNIST network", defaults: ["classes": 10], allowed: [:],
      inputShape: { _ in [1, 28, 28] }, build: { MNISTNet(classes: $0["classes"]!, generator: $1) }),
    Entry(
      name: "lenet5", summary: "advertorch's LeNet5 for MNIST", defaults: ["classes": 10], allowed: [:],
      inputShape: { _ in [1, 28, 28] }, build: { LeNet5(classes: $0["classes"]!, generator: $1) }),
    Entry(
      name: "cnn-a", summary: "CNN-A of the certification papers", defaults: ["classes": 10, "channels": 3],
      allowed: ["channels": [1, 3]], inputShape: { $0["channels"] == 1 ? [1, 28, 28] : [3, 32, 32] },
      build: { CNNA(classes: $0["classes"]!, channels: $0["channels"]!, generator: $1) }),
    Entry(
      name: "small-cnn", summary: "TRADES' SmallCNN for MNIST", defaults: ["classes": 10], allowed: [:],
      inputShape: { _ in [1, 28, 28] }, build: { SmallCNN(classes: $0["classes"]!, generator: $1) }),
    Entry(
      name: "resnet20", summary: "ResNet-20 (16/32/64) for CIFAR", defaults: ["classes": 10], allowed: [:],
      inputShape: { _ in [3, 32, 32] }, build: { ResNet20(classes: $0["classes"]!, generator: $1) }),
    Entry(
      name: "resnet18", summary: "ResNet-18 for CIFAR", defaults: ["classes": 10], allowed: [:], inputShape: { _ in [3, 32, 32] },
      build: { ResNet18(classes: $0["classes"]!, generator: $1) }),
  ]

  /// - Throws: `SATError` for a name that is not in the catalogue; it lists those that are.
  public static func entry(named name: String) throws(SATError) -> Entry {
    if let entry = entries.first(where: { $0.name == name }) { return entry }
    let names = entries.map(\.name)
    let hint = Suggestion.nearest(to: name, among: names).map { " (did you mean \($0)?)" } ?? ""
    throw SATError("model '\(name)' is not known\(hint); expected one of \(names.joined(separator: ", "))")
  }

  /// The architectures that have exactly these keys and shapes, whatever the order and the number of classes.
  static func matching(_ state: [(name: String, shape: [Int])]) -> [Architecture] {
    // Absent from old files, and never what tells two networks apart.
    func isCounter(_ name: String) -> Bool { name.hasSuffix("num_batches_tracked") }
    let given = Dictionary(state.filter { !isCounter($0.name) }.map { ($0.name, $0.shape) }, uniquingKeysWith: { first, _ in first })
    return entries.flatMap { entry in
      variants(of: entry).compactMap { options in
        var candidate = Architecture(name: entry.name, options: options)
        guard let network = try? candidate.make(generator: Generator(seed: 0)) else { return nil }
        let own = network.stateDict.filter { !isCounter($0.name) }
        guard own.count == given.count, own.allSatisfy({ given[$0.name] != nil }) else { return nil }
        let differing = own.filter { given[$0.name] != $0.tensor.shape }
        guard let first = differing.first else { return candidate }
        // A last layer for another number of classes may differ, and nothing else.
        guard let classes = given[first.name]?.first else { return nil }
        candidate.options["classes"] = "\(classes)"
        let isLastLayer = differing.allSatisfy { name, tensor in
          tensor.shape.first == entry.defaults["classes"] && given[name] == [classes] + tensor.shape.dropFirst()
        }
        return isLastLayer && (try? candidate.resolvedOptions()) != nil ? candidate : nil
      }
    }
  }

  /// Every combination of the options that take only some values, as options that differ from the defaults.
  private static func variants(of entry: Entry) -> [[String: String]] {
    entry.allowed.sorted { $0.key < $1.key }.reduce([[:]]) { variants, option in
      variants.flatMap { variant in
        option.value.map { value in
          value == entry.defaults[option.key] ? variant : variant.merging([option.key: "\(value)"]) { $1 }
        }
      }
    }
  }
}
