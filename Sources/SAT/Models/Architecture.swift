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
    return entry.build(try values(entry), generator)
  }

  /// [C, H, W] of the images it takes.
  ///
  /// - Throws: as `make(generator:)`.
  public func inputShape() throws(SATError) -> [Int] {
    let entry = try NetworkCatalog.entry(named: name)
    return entry.inputShape(try values(entry))
  }

  private func values(_ entry: NetworkCatalog.Entry) throws(SATError) -> [String: Int] {
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
    let allowed: [String: [Int]]
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

  /// - Throws: `SATError` for a name that is not in the catalogue.
  public static func entry(named name: String) throws(SATError) -> Entry {
    guard let entry = entries.first(where: { $0.name == name }) else {
      throw SATError("model '\(name)' is not known; expected one of \(entries.map(\.name).joined(separator: ", "))")
    }
    return entry
  }

  /// The architectures whose default or otherwise plausible form has exactly these keys and shapes.
  static func matching(_ state: [(name: String, shape: [Int])]) -> [Architecture] {
    let given = Dictionary(state.map { ($0.name, $0.shape) }, uniquingKeysWith: { first, _ in first })
    guard let classes = state.last(where: { $0.shape.count == 1 })?.shape[0], classes >= 2 else { return [] }
    var found: [Architecture] = []
    for entry in entries {
      for channels in entry.allowed["channels"] ?? [0] {
        var options: [String: String] = [:]
        if classes != entry.defaults["classes"] { options["classes"] = "\(classes)" }
        if channels != 0, channels != entry.defaults["channels"] { options["channels"] = "\(channels)" }
        let candidate = Architecture(name: entry.name, options: options)
        guard let network = try? candidate.make(generator: Generator(seed: 0)) else { continue }
        let own = network.stateDict.filter { !$0.name.hasSuffix("num_batches_tracked") }
        let counted = given.keys.filter { !$0.hasSuffix("num_batches_tracked") }.count
        if own.count == counted, own.allSatisfy({ given[$0.name] == $0.tensor.shape }) { found.append(candidate) }
      }
    }
    return found
  }
}
