internal import SwiftTorch

/// The match of a file's weights with the keys of a network.
struct StateFit {
  /// The place of the weights in the file and the beginning of their names; the value of --weights. It is empty for the top.
  let key: String
  let state: ForeignState
  /// The weights by the network's keys.
  private(set) var found: [String: FileWeight] = [:]
  /// The names of weights that the network has no use for.
  private(set) var unused: [String] = []
  /// The network's keys that the file lacks.
  private(set) var missing: [String] = []
  /// Words about weights of another shape.
  private(set) var mismatched: [String] = []
  /// Words about weights that are no real numbers, or no tensors that sat reads.
  private(set) var unreadable: [String] = []

  var isComplete: Bool { missing.isEmpty && mismatched.isEmpty && unreadable.isEmpty }

  /// True if the place has only names that scripts and wrappers give to a model, so it is the model itself and no copy.
  var isPlain: Bool { key.split(separator: ".").allSatisfy { Self.plainNames.contains($0) || $0.allSatisfy(\.isNumber) } }

  private static let plainNames: Set<Substring> = [
    "state_dict", "model_state_dict", "model", "net", "network", "best", "last", "module", "backbone", "classifier",
  ]

  /// The names of a file by the keys that they end in.
  private struct Index {
    /// The names that end in a key, and in no longer one.
    private(set) var names: [String: [String]] = [:]
    /// The beginnings in front of the keys, the shortest first.
    private(set) var prefixes: [String] = []

    init(_ state: ForeignState, _ needed: [(name: String, shape: [Int])]) {
      let keys = Set(needed.map(\.name))
      var counts: [String: Int] = [:]
      for name in state.weights.map(\.name) {
        var end = name[...]
        while !keys.contains(String(end)), let dot = end.firstIndex(of: ".") { end = end[end.index(after: dot)...] }
        guard keys.contains(String(end)) else { continue }
        names[String(end), default: []].append(name)
        counts[String(name.dropLast(end.count)), default: 0] += 1
      }
      let most = counts.values.max() ?? 0
      prefixes = counts.filter { 2 * $0.value >= most }.map(\.key).sorted { ($0.count, $0) < ($1.count, $1) }
      if prefixes.isEmpty { prefixes = [""] }
    }
  }

  /// Matches the weights whose names are `prefix` and a key.
  init(_ state: ForeignState, prefix: String, needed: [(name: String, shape: [Int])]) {
    self.init(state, prefix: prefix, needed: needed, names: [:])
  }

  /// Matches also weights without the prefix. `names` lists the names that end in each key; a single one is that key's weight.
  private init(
    _ state: ForeignState, prefix: String, needed: [(name: String, shape: [Int])], names: [String: [String]]
  ) {
    self.state = state
    key = [state.location, String(prefix.dropLast())].filter { !$0.isEmpty }.joined(separator: ".")
    let weights = Dictionary(state.weights.map { ($0.name, $0.weight) }, uniquingKeysWith: { first, _ in first })
    var used: Set<String> = []
    for (key, shape) in needed {
      var name = prefix + key
      if weights[name] == nil, state.others[name] == nil, let other = names[key], other.count == 1 { name = other[0] }
      guard let weight = weights[name] else {
        // Files older than PyTorch 0.4.1 lack `num_batches_tracked`, and only momentum=None reads it.
        if let kind = state.others[name] {
          unreadable.append("\(key) is \(kind)")
        } else if !key.hasSuffix("num_batches_tracked") {
          missing.append(key)
        }
        continue
      }
      used.insert(name)
      found[key] = weight
      if !Self.fits(weight.shape, shape) {
        mismatched.append("\(key) is \(weight.shape), expected \(shape)")
      } else if let part = weight.parts.first(where: { !$0.dtype.isFloatingPoint && !$0.dtype.isInteger && $0.dtype != .bool }) {
        unreadable.append("\(key) is of type \(part.dtype), expected real numbers")
      }
    }
    // The package robustness and others hold one network under two names.
    unused = state.weights.filter { name, weight in
      !used.contains(name) && !found.values.contains { $0.isSame(as: weight) }
    }.map(\.name)
  }

  /// Returns the matches of all places and beginnings of names in a file: the complete ones, or all if there are none, with the
  /// nearest first.
  static func all(_ states: [ForeignState], needed: [(name: String, shape: [Int])]) -> [StateFit] {
    var fits: [StateFit] = []
    for state in states {
      let index = Index(state, needed)
      for prefix in index.prefixes.prefix(8) {
        let fit = StateFit(state, prefix: prefix, needed: needed, names: index.names)
        if !fits.contains(where: { $0.isComplete && $0.isSame(as: fit) }) { fits.append(fit) }
      }
    }
    let complete = fits.filter(\.isComplete)
    return complete.isEmpty ? fits.sorted { $0.faults < $1.faults } : complete
  }

  private var faults: Int { missing.count + mismatched.count + unreadable.count }

  private func isSame(as other: StateFit) -> Bool {
    found.count == other.found.count && found.allSatisfy { key, weight in other.found[key]?.isSame(as: weight) ?? false }
  }

  /// Returns true for equal shapes, and for [] and [1], which both mean one number.
  private static func fits(_ given: [Int], _ wanted: [Int]) -> Bool {
    given == wanted || (given + wanted).allSatisfy { $0 == 1 } && given.count <= 1 && wanted.count <= 1
  }

  /// The number of unused weights, without the counters that old files lack.
  var unusedCount: Int { unused.count { !$0.hasSuffix("num_batches_tracked") } }

  /// A sentence about weights that are left out; nil if the network uses all.
  var note: String? {
    guard !unused.isEmpty else { return nil }
    return "\(unused.count) tensor\(unused.count == 1 ? " is" : "s are") left out because the network does not use "
      + "\(unused.count == 1 ? "it" : "them"): \(Self.listed(unused, 4))"
  }

  /// Lists the keys that do not fit, with the nearest names of the file for missing keys.
  var complaint: String {
    var parts: [String] = []
    if !missing.isEmpty {
      let hints = missing.prefix(3).compactMap { key in
        Suggestion.nearest(to: key, among: unused).map { "\(key) may be \($0)" }
      }
      parts.append("missing keys: \(Self.listed(missing, 8))\(hints.isEmpty ? "" : " (\(hints.joined(separator: ", ")))")")
    }
    if !mismatched.isEmpty { parts.append("wrong shapes: \(Self.listed(mismatched, 8))") }
    if !unreadable.isEmpty { parts.append("wrong types: \(Self.listed(unreadable, 8))") }
    if !unused.isEmpty { parts.append("unexpected keys: \(Self.listed(unused, 8))") }
    return parts.joined(separator: "; ")
  }

  private static func listed(_ names: [String], _ most: Int) -> String {
    let shown = names.prefix(most).joined(separator: ", ")
    return names.count > most ? "\(shown), and \(names.count - most) more" : shown
  }

  /// Copies the weights into a network, one at a time, so that the file's tensors never lie in memory together.
  ///
  /// - Throws: `TorchError` that names the file if it cannot be read.
  func load(into module: Module, file: String) throws(TorchError) {
    let own = module.stateDict
    var maker = TensorMaker(own.flatMap { found[$0.name]?.parts ?? [] })
    for (name, tensor) in own {
      guard let weight = found[name] else { continue }
      let value = try weight.tensor(&maker, file: file)
      withNoGrad { _ = tensor.copyInPlace(from: value.reshaped(to: tensor.shape)) }
    }
  }
}
