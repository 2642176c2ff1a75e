internal import SwiftTorch

/// The networks that sat knows. A new network needs a file in `Networks` and an entry here.
public enum NetworkCatalog {
  /// A network that users can name, with its options.
  public struct Entry: Sendable {
    public let name: String
    /// A short description.
    public let summary: String
    /// The options and their defaults.
    public internal(set) var defaults = ["classes": 10]
    /// The allowed values of each option that takes only a few.
    public internal(set) var allowed: [String: [Int]] = [:]
    var inputShape: @Sendable ([String: Int]) -> [Int] = { _ in [3, 32, 32] }
    let build: @Sendable ([String: Int], Generator) -> any Layer
    /// Derives the options from the shapes in a file, for networks with too many combinations to try; returns nil when the file
    /// belongs to another network.
    var options: (@Sendable ([String: [Int]]) -> [String: Int]?)? = nil
  }

  public static let entries: [Entry] = [
    Entry(
      name: "mnist-cnn", summary: "the SAT paper's MNIST network", inputShape: { _ in [1, 28, 28] },
      build: { MNISTNet(classes: $0["classes"]!, generator: $1) }),
    Entry(
      name: "lenet5", summary: "advertorch's LeNet5 for MNIST", inputShape: { _ in [1, 28, 28] },
      build: { LeNet5(classes: $0["classes"]!, generator: $1) }),
    Entry(
      name: "cnn-a", summary: "CNN-A of the certification papers", defaults: ["classes": 10, "channels": 3],
      allowed: ["channels": [1, 3]], inputShape: { $0["channels"] == 1 ? [1, 28, 28] : [3, 32, 32] },
      build: { CNNA(classes: $0["classes"]!, channels: $0["channels"]!, generator: $1) }),
    Entry(
      name: "small-cnn", summary: "TRADES' SmallCNN for MNIST", inputShape: { _ in [1, 28, 28] },
      build: { SmallCNN(classes: $0["classes"]!, generator: $1) }),
    Entry(
      name: "resnet20", summary: "ResNet-20 (16/32/64) for CIFAR", build: { ResNet20(classes: $0["classes"]!, generator: $1) }),
    Entry(name: "resnet18", summary: "ResNet-18 for CIFAR", build: { ResNet18(classes: $0["classes"]!, generator: $1) }),
    Entry(
      name: "prn20", summary: "the SAT paper's pre-activation ResNet for CIFAR",
      defaults: ["classes": 10, "finalBN": 0, "rawShortcut": 0], allowed: ["finalBN": [0, 1], "rawShortcut": [0, 1]],
      build: {
        PreActResNet(classes: $0["classes"]!, finalBN: $0["finalBN"] == 1, rawShortcut: $0["rawShortcut"] == 1, generator: $1)
      }),
    Entry(
      name: "wrn34-10", summary: "WideResNet for CIFAR; depth and width are options",
      defaults: ["classes": 10, "depth": 34, "width": 10],
      allowed: ["depth": Array(stride(from: 10, through: 106, by: 6)), "width": Array(1...20)],
      build: { WideResNet(classes: $0["classes"]!, depth: $0["depth"]!, width: $0["width"]!, generator: $1) },
      options: WideResNet.options(of:)),
    Entry(
      name: "resnet34", summary: "torchvision's ResNet-34 for 224 x 224", inputShape: { _ in [3, 224, 224] },
      build: { ResNet34(classes: $0["classes"]!, generator: $1) }),
  ]

  /// Returns the entry with a name, or throws a `SATError` that lists the known names.
  public static func entry(named name: String) throws(SATError) -> Entry {
    if let entry = entries.first(where: { $0.name == name }) { return entry }
    let names = entries.map(\.name)
    let hint = Suggestion.nearest(to: name, among: names).map { " (did you mean \($0)?)" } ?? ""
    throw SATError("model '\(name)' is not known\(hint); expected one of \(names.joined(separator: ", "))")
  }

  /// Returns the architectures that these keys and shapes fit; the order and the number of classes do not matter.
  ///
  /// - Parameter state: the keys and shapes of a file. Some may belong to no part of the network.
  /// - Returns: the architectures that use the most keys, and the number of keys that they do not use.
  static func matching(_ state: [(name: String, shape: [Int])]) -> (architectures: [Architecture], unused: Int) {
    // Old files lack these counters, and no two networks differ only in them.
    func isCounter(_ name: String) -> Bool { name.hasSuffix("num_batches_tracked") }
    let given = Dictionary(
      state.filter { !isCounter($0.name) }.map { ($0.name, $0.shape) }, uniquingKeysWith: { first, _ in first })
    var best: (architectures: [Architecture], unused: Int) = ([], .max)
    for entry in entries {
      for options in variants(of: entry, given) {
        var candidate = Architecture(name: entry.name, options: options)
        let built = try? Initialization.skipping { () throws(SATError) in try candidate.make(generator: Generator(seed: 0)) }
        guard let own = built?.stateDict.filter({ !isCounter($0.name) }), own.allSatisfy({ given[$0.name] != nil }) else {
          continue
        }
        let differing = own.filter { given[$0.name] != $0.tensor.shape }
        if let first = differing.first {
          // Only the last layer may differ, for another number of classes.
          guard let classes = given[first.name]?.first else { continue }
          candidate.options["classes"] = "\(classes)"
          let isLastLayer = differing.allSatisfy { name, tensor in
            tensor.shape.first == entry.defaults["classes"] && given[name] == [classes] + tensor.shape.dropFirst()
          }
          guard isLastLayer, (try? candidate.resolvedOptions()) != nil else { continue }
        }
        let unused = given.count - own.count
        if unused < best.unused { best = ([], unused) }
        if unused == best.unused { best.architectures.append(candidate) }
      }
    }
    return best
  }

  /// Returns the combinations of options that may fit a file; each lists only the options that differ from the defaults.
  private static func variants(of entry: Entry, _ shapes: [String: [Int]]) -> [[String: String]] {
    if let options = entry.options {
      return options(shapes).map { [$0.filter { $1 != entry.defaults[$0] }.mapValues(String.init)] } ?? []
    }
    return entry.allowed.sorted { $0.key < $1.key }.reduce([[:]]) { variants, option in
      variants.flatMap { variant in
        option.value.map { value in value == entry.defaults[option.key] ? variant : variant.merging([option.key: "\(value)"]) { $1 }
        }
      }
    }
  }
}
