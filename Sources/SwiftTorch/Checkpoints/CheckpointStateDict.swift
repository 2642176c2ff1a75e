/// The named tensors of a model, found in a checkpoint. PyTorch: `Module.state_dict()`.
public struct StateDict: Sendable {
  /// The tensors in the file's order, `prefix` taken off their names.
  public var entries: NamedStoredTensors
  /// Where in the checkpoint they were ("state_dict"); empty where they were at the top.
  public let location: String
  /// What every name began with ("module." of `DataParallel`), empty where nothing was taken off.
  public let prefix: String
  /// Entries beside the tensors that are no tensors (an epoch count, say).
  public let ignored: [String]

  /// CPU tensors for all entries; those that share a storage in the file share memory.
  public func tensors() -> NamedTensors {
    TensorMaker.tensors(entries)
  }
}

extension Array {
  /// Takes off the first parts ("module.") that all names share, one after another. No name becomes empty.
  ///
  /// - Parameter isWrapper: whether a part belongs to a wrapper rather than to the network.
  /// - Returns: everything that was taken off.
  @discardableResult
  package mutating func removeSharedPrefix<Value>(
    where isWrapper: (Substring) -> Bool = { _ in true }
  ) -> String where Element == (name: String, tensor: Value) {
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
  /// The names under which training scripts keep a model's state, the usual ones first.
  private static let wrappers = ["state_dict", "model_state_dict", "model", "net", "network", "best", "last"]

  /// What wrappers put in front of every name: data parallelism, `torch.compile`, and an attribute called `model`. A caller's own
  /// module may hold all others too, so no other prefix goes.
  private static let prefixes: Set = ["module.", "_orig_mod.", "model."]

  /// Finds the model's tensors: at the top of the file, or under one of the usual names.
  ///
  /// A prefix is taken off only where every name has it.
  ///
  /// - Throws: `TorchError` naming the file and what it holds instead.
  public func stateDict() throws(TorchError) -> StateDict {
    guard let (location, members) = Self.find(root, at: [], depth: 0) else {
      throw TorchError(
        .value,
        "\(path): holds no state_dict but \(summary); expected named tensors, bare or under \(Self.wrappers.map { "'\($0)'" }.joined(separator: ", ")); "
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
    let hasTensor = members.contains { member in
      if case (.string, .tensor) = member { true } else { false }
    }
    return hasTensor ? (path, members) : nil
  }

  private var summary: String {
    guard case .dictionary(let members) = root else { return root.kind }
    if members.isEmpty { return "an empty dictionary" }
    let names = members.prefix(8).map { member in
      if case .string(let name) = member.key { quoted(name) } else { member.key.kind }
    }
    return "a dictionary with \(names.joined(separator: ", "))\(members.count > 8 ? ", …" : "")"
  }
}
