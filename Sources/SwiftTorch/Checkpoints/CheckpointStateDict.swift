/// The named tensors of a model in a checkpoint (PyTorch's `Module.state_dict()`).
public struct StateDict: Sendable {
  /// The tensors in the file's order, with names without `prefix`.
  public var entries: NamedStoredTensors
  /// The place of the tensors in the checkpoint ("state_dict"); empty if they are at the top.
  public let location: String
  /// The prefix that was removed from every name ("module." of `DataParallel`); empty if none was removed.
  public let prefix: String
  /// The names of the entries that are not tensors, such as an epoch count.
  public let ignored: [String]

  /// Makes CPU tensors of all entries. Tensors that share a storage in the file share memory.
  public func tensors() -> NamedTensors { TensorMaker.tensors(entries) }
}

extension Array {
  /// Removes the first parts that all names share ("module."), one after another. No name becomes empty.
  ///
  /// - Parameter isWrapper: returns true if a part belongs to a wrapper and not to the network.
  /// - Returns: the removed prefix.
  @discardableResult package mutating func removeSharedPrefix<Value>(where isWrapper: (Substring) -> Bool = { _ in true }) -> String
  where Element == (name: String, tensor: Value) {
    var removed = ""
    while let name = first?.name, let dot = name.firstIndex(of: "."), case let part = name[...dot], isWrapper(part),
      allSatisfy({ $0.name.hasPrefix(part) && $0.name.count > part.count })
    {
      removed += part
      for index in indices { self[index].name.removeFirst(part.count) }
    }
    return removed
  }
}

extension PyTorchCheckpoint {
  /// The names under which training scripts save a model's state. The usual names come first.
  private static let wrappers = ["state_dict", "model_state_dict", "model", "net", "network", "best", "last"]

  /// The prefixes that wrappers add to every name: data parallelism, `torch.compile`, and an attribute with the name `model`.
  ///
  /// The code removes no other prefix, because a network may also keep all its layers in one module.
  private static let prefixes: Set = ["module.", "_orig_mod.", "model."]

  /// Finds the model's tensors at the top of the file or under one of the usual names.
  ///
  /// It removes a wrapper's prefix only if every name has it.
  ///
  /// - Throws: `TorchError` that names the file and its contents if the file holds no named tensors.
  public func stateDict() throws(TorchError) -> StateDict {
    guard let (location, members) = Self.find(root, at: [], depth: 0) else {
      throw TorchError(
        .value,
        "\(path): holds \(summary) instead of a state_dict; expected named tensors, at the top or under "
          + "\(Self.wrappers.map { "'\($0)'" }.joined(separator: ", ")); "
          + "save model.state_dict()")
    }
    var entries: NamedStoredTensors = []
    var ignored: [String] = []
    for (key, value) in members {
      switch (key, value) {
      case (.string(let name), .tensor(let tensor)): entries.append((name, tensor))
      case (.string(let name), _): ignored.append(name)
      default: ignored.append(key.kind)
      }
    }
    let removed = entries.removeSharedPrefix { Self.prefixes.contains(String($0)) }
    return StateDict(entries: entries, location: location.joined(separator: "."), prefix: removed, ignored: ignored)
  }

  private static func find(
    _ value: CheckpointValue, at path: [String], depth: Int
  ) -> (location: [String], members: [(key: CheckpointValue, value: CheckpointValue)])? {
    guard case .dictionary(let members) = value, depth < 4 else { return nil }
    for name in wrappers {
      if let inner = value[name], let found = find(inner, at: path + [name], depth: depth + 1) { return found }
    }
    let hasTensor = members.contains { member in if case (.string, .tensor) = member { true } else { false } }
    return hasTensor ? (path, members) : nil
  }

  private var summary: String {
    guard case .dictionary(let members) = root else { return root.kind }
    if members.isEmpty { return "an empty dictionary" }
    let names = members.prefix(8).map { member in if case .string(let name) = member.key { quoted(name) } else { member.key.kind } }
    return "a dictionary with \(names.joined(separator: ", "))\(members.count > 8 ? ", …" : "")"
  }
}
