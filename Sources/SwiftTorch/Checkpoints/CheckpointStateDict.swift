/// A set of named tensors in a checkpoint (PyTorch's `Module.state_dict()`).
public struct StateDict: Sendable {
  /// The tensors in the file's order.
  public var entries: NamedStoredTensors = []
  /// The place of the tensors in the checkpoint ("state_dict"); empty if they are at the top.
  public let location: String
  /// The other values beside the tensors, with their kinds ("a quantized tensor").
  public var others: [(name: String, kind: String)] = []
  let file: String

  /// Makes CPU tensors of all entries. Tensors that share a storage in the file share memory.
  ///
  /// - Throws: `TorchError` that names the file if it cannot be read or a checksum is wrong.
  public func tensors() throws(TorchError) -> NamedTensors { try TensorMaker.tensors(entries, source: file) }
}

extension PyTorchCheckpoint {
  /// The names under which training scripts save a model's state. The usual names come first.
  private static let usualNames = ["state_dict", "model_state_dict", "model", "net", "network", "best", "last"]

  /// The deepest place of a state_dict in the file, and the deepest module in a saved module.
  private static let maximumDepth = (place: 4, module: 64)

  /// The most containers that the search for tensors looks at. A file of an attacker may hold one module billions of times.
  private static let maximumVisits = 100_000

  /// Returns the model's tensors: those under a usual name, or else those at the top of the file.
  ///
  /// - Throws: `TorchError` that names the file and its contents if the file holds no named tensors.
  public func stateDict() throws(TorchError) -> StateDict {
    guard let first = stateDicts().first else {
      throw TorchError(
        .value,
        "\(path): holds \(summary) instead of a state_dict; expected named tensors, at the top or under a name such as "
          + "'state_dict'; save model.state_dict()")
    }
    return first
  }

  /// Returns all sets of named tensors: dictionaries with tensors, and saved modules. The usual places come first.
  ///
  /// A saved module (`torch.save(model)`) gives the state_dict that it would have in Python. The states of optimizers are not
  /// listed.
  public func stateDicts() -> [StateDict] {
    var found: [(state: StateDict, rank: Int)] = []
    var queue: [(value: CheckpointValue, path: [String])] = [(root, [])]
    var visited: Set<Int> = []
    while let (value, path) = queue.first, visited.count < Self.maximumVisits {
      queue.removeFirst()
      guard let identity = value.identity, visited.insert(identity).inserted, value["param_groups"] == nil,
        let entries = value.entries
      else { continue }
      var state = StateDict(location: path.joined(separator: "."), file: self.path)
      if Self.isModule(value) {
        var visits = 0
        Self.addModule(value, prefix: "", depth: 0, visits: &visits, to: &state)
      } else {
        for (key, value) in entries {
          guard let name = key.string else { continue }
          if let tensor = value.tensor {
            state.entries.append((name, tensor))
          } else {
            state.others.append((name, value.kind))
            if path.count < Self.maximumDepth.place { queue.append((value, path + [name])) }
          }
        }
      }
      guard !state.entries.isEmpty else { continue }
      let usual = path.last.map { Self.usualNames.firstIndex(of: $0) ?? Self.usualNames.count + 1 } ?? Self.usualNames.count
      found.append((state, usual))
    }
    return found.indices.sorted { (found[$0].rank, $0) < (found[$1].rank, $1) }.map { found[$0].state }
  }

  /// Returns true for an object with the attributes of `torch.nn.Module`.
  private static func isModule(_ value: CheckpointValue) -> Bool {
    value["_parameters"]?.entries != nil && value["_modules"]?.entries != nil
  }

  /// Adds a module's parameters and persistent buffers, and those of the modules below it, with PyTorch's names.
  private static func addModule(
    _ module: CheckpointValue, prefix: String, depth: Int, visits: inout Int, to state: inout StateDict
  ) {
    visits += 1
    guard depth < maximumDepth.module, visits < maximumVisits else { return }
    var transient: Set<String> = []
    if case .list(let names)? = module["_non_persistent_buffers_set"]?.content { transient = Set(names.compactMap(\.string)) }
    for group in ["_parameters", "_buffers"] {
      for (key, value) in module[group]?.entries ?? [] {
        guard let name = key.string, !transient.contains(name) || group == "_parameters" else { continue }
        if let tensor = value.tensor {
          state.entries.append((prefix + name, tensor))
        } else if case .none = value.content {
          // A layer without bias has None in its place.
        } else {
          state.others.append((prefix + name, value.kind))
        }
      }
    }
    for (key, value) in module["_modules"]?.entries ?? [] {
      guard let name = key.string else { continue }
      addModule(value, prefix: "\(prefix)\(name).", depth: depth + 1, visits: &visits, to: &state)
    }
  }

  /// The contents of the file in a few words, with the names of what stays opaque.
  private var summary: String {
    guard case .dictionary(let members) = root.content else { return root.kind }
    if members.isEmpty { return "an empty dictionary" }
    let names = members.prefix(8).map { key, value in
      let name = key.string.map(quoted) ?? key.kind
      return if case .object = value.content { "\(name) (\(value.kind))" } else { name }
    }
    return "a dictionary with \(names.joined(separator: ", "))\(members.count > 8 ? ", …" : "")"
  }
}
