internal import SwiftTorch

/// A set of named weights in a file from another program, without the traces of wrappers, and the normalisation beside it.
struct ForeignState {
  /// The place of the weights in the file ("state_dict"); empty for the top.
  let location: String
  /// The weights in the file's order.
  private(set) var weights: [(name: String, weight: FileWeight)]
  /// The kinds of the values that are no tensors, by their names.
  let others: [String: String]
  /// The normalisation layer in front of the network, if the file has one.
  private(set) var normalization: Normalization?

  /// The parts of names that data parallelism, `torch.compile` and sharding add.
  private static let wrappers: Set<Substring> = [
    "module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module",
  ]

  /// The names of mean and deviation in a normalisation layer: those of Madry, RobustBench and the package robustness.
  private static let pairs = [("mean", "std"), ("mu", "sigma"), ("new_mean", "new_std")]

  /// Takes the tensors of one place of a file.
  ///
  /// - Parameters:
  ///   - entries: the named tensors.
  ///   - location: their place in the file.
  ///   - others: the kinds of the other values, by their names.
  ///   - file: the file's name in messages.
  /// - Throws: `SATError` when the numbers of the file's normalisation are out of range or two normalisations differ, `TorchError`
  ///   when the file cannot be read.
  init(_ entries: NamedStoredTensors, location: String = "", others: [(name: String, kind: String)] = [], file: String) throws {
    self.location = location
    self.others = Dictionary(others.map { (Self.unwrapped($0.name), $0.kind) }, uniquingKeysWith: { first, _ in first })
    let names = Dictionary(grouping: entries, by: { Self.unwrapped($0.name) })
    var renamed: NamedStoredTensors = []
    for (name, tensor) in entries {
      let unwrapped = Self.unwrapped(name)
      let twins = names[unwrapped]!
      // Different tensors that only a wrapper's name tells apart keep their names.
      let isUnique = twins.allSatisfy { $0.tensor.isSame(as: tensor) }
      if !isUnique || twins[0].name == name { renamed.append((isUnique ? unwrapped : name, tensor)) }
    }
    // torch.optim.swa_utils.AveragedModel stores this counter beside its module.
    renamed.removeAll { $0.name == "n_averaged" }
    weights = []
    try takeNormalization(from: &renamed, file: file)
    weights = FileWeight.assembling(renamed)
  }

  /// Returns a name without the parts that wrappers add, at any depth.
  private static func unwrapped(_ name: String) -> String {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    return (parts.dropLast().filter { !wrappers.contains($0) } + parts.suffix(1)).joined(separator: ".")
  }

  /// Removes the pairs of mean and deviation. BatchNorm's statistics have other names, so such a pair is a normalisation.
  private mutating func takeNormalization(from entries: inout NamedStoredTensors, file: String) throws {
    for (mean, std) in Self.pairs {
      for (found, means) in entries where found.split(separator: ".").last ?? "" == mean {
        let other = found.dropLast(mean.count) + std
        guard let deviations = entries.first(where: { $0.name == other })?.tensor, let mean = try Self.channels(means),
          let std = try Self.channels(deviations)
        else { continue }
        let layer: Normalization
        do { layer = try Normalization(mean: mean, std: std) } catch { throw SATError("\(file): \(error.message)") }
        guard normalization == nil || normalization == layer else {
          throw SATError(
            "\(file) holds two normalisations, \(normalization!) and \(layer); choose one with --normalize on a file without them")
        }
        normalization = layer
        entries.removeAll { $0.name == found || $0.name == other }
      }
    }
  }

  /// Returns the numbers of a tensor [C], [C, 1, 1] or [1, C, 1, 1] as typed: the shortest decimals that round to its float32.
  private static func channels(_ tensor: StoredTensor) throws -> [Double]? {
    guard tensor.dtype.isFloatingPoint, (1...4).contains(tensor.count), [1, 3, 4].contains(tensor.shape.count),
      tensor.shape.count(where: { $0 != 1 }) <= 1
    else { return nil }
    return try tensor.makeTensor().to(.float32).array(of: Float.self).compactMap { Double("\($0)") }
  }

  /// Returns the beginnings of names that most weights share one after another, such as "", "model.", "model.backbone.".
  var sharedPrefixes: [String] {
    var prefixes = [""]
    var names = weights.map { $0.name[...] }
    while prefixes.count < 5 {
      let parts = names.compactMap { name in name.firstIndex(of: ".").map { name[...$0] } }
      let counts = Dictionary(parts.map { ($0, 1) }, uniquingKeysWith: +)
      guard let (part, count) = counts.max(by: { ($0.value, $1.key) < ($1.value, $0.key) }), 2 * count >= names.count else { break }
      prefixes.append(prefixes.last! + part)
      names = names.compactMap { $0.hasPrefix(part) ? $0.dropFirst(part.count) : nil }
    }
    return prefixes
  }

  /// Returns the shapes of the weights with this beginning, by the rest of their names.
  func shapes(under prefix: String) -> [(name: String, shape: [Int])] {
    weights.compactMap { name, weight in
      name.hasPrefix(prefix) ? (String(name.dropFirst(prefix.count)), weight.shape) : nil
    }
  }
}
