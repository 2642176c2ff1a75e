/// The contents of a PyTorch checkpoint as a tree of numbers, text, containers and tensors.
///
/// `maximumDepth` bounds the nesting. The tree shares the parts that the file shares, so a small file stays small in memory.
public enum CheckpointValue: Sendable {
  case none
  case bool(Bool)
  case int(Int)
  case float(Double)
  case string(String)
  case bytes([UInt8])
  /// A list, tuple, `torch.Size` or set.
  case list([CheckpointValue])
  /// A dictionary, `OrderedDict`, `defaultdict`, `Counter` or `argparse.Namespace`. The keys keep their order, and each occurs
  /// once.
  case dictionary([(key: CheckpointValue, value: CheckpointValue)])
  case tensor(StoredTensor)
  /// The description of a value that has no case of its own: a dtype, a bare storage, a number beyond 64 bits.
  case other(String)

  /// The deepest nesting that a checkpoint may have.
  public static let maximumDepth = 128

  /// The value of a dictionary's text key, or nil if there is none.
  public subscript(_ name: String) -> CheckpointValue? {
    guard case .dictionary(let entries) = self else { return nil }
    for case (.string(name), let value) in entries { return value }
    return nil
  }

  /// The tensor, or nil for any other value.
  public var tensor: StoredTensor? { if case .tensor(let tensor) = self { tensor } else { nil } }

  /// The kind of the value in Python's words, for messages.
  var kind: String {
    switch self {
    case .none: "None"
    case .bool, .int, .float: "a number"
    case .string: "a string"
    case .bytes: "bytes"
    case .list: "a list"
    case .dictionary: "a dictionary"
    case .tensor: "a tensor"
    case .other(let description): description
    }
  }
}

extension Unpickler {
  /// Turns the result of a pickle into a tree, with tensors on the given storages.
  ///
  /// - Parameter storages: one storage for each of `self.storages`.
  func tree(_ root: Value, storages bound: [StoredTensor.Storage]) throws(FormatError) -> CheckpointValue {
    guard bound.count == storages.count else { throw damaged("holds tensors in the wrong place") }
    var builder = TreeBuilder(source: self, storages: bound)
    return try builder.build(root, depth: 0).value
  }
}

/// Copies the unpickler's arena into values, with each container once. It refuses cycles and deep nesting.
private struct TreeBuilder {
  typealias Node = (value: CheckpointValue, height: Int)

  /// A dictionary key. Two keys are equal if Python finds them equal.
  private enum Key: Hashable {
    case string(String)
    case int(Int)
    case bool(Bool)
    case none
  }

  let source: Unpickler
  let storages: [StoredTensor.Storage]
  private var finished: [Int: Node] = [:]
  private var open: Set<Int> = []

  init(source: Unpickler, storages: [StoredTensor.Storage]) {
    self.source = source
    self.storages = storages
  }

  mutating func build(_ value: Unpickler.Value, depth: Int) throws(FormatError) -> Node {
    switch value {
    case .none: return (.none, 0)
    case .bool(let flag): return (.bool(flag), 0)
    case .int(let number): return (.int(number), 0)
    case .float(let number): return (.float(number), 0)
    case .string(let text): return (.string(text), 0)
    case .bytes(let bytes): return (.bytes(bytes), 0)
    case .long(let bytes): return (.other("a whole number of \(bytes.count) bytes"), 0)
    case .numpyType(let code): return (.other("numpy dtype \(code)"), 0)
    case .storage(let index): return (.other("a storage of \(source.storages[index].dtype)"), 0)
    case .global(let global): return (.other(global.description), 0)
    case .tensor(let index):
      let record = source.tensors[index]
      let tensor = try StoredTensor(
        storage: storages[record.storage], dtype: record.dtype, shape: record.shape, strides: record.strides,
        offset: record.offset, requiresGrad: record.requiresGrad)
      return (.tensor(tensor), 0)
    case .container(let index): return try container(index, depth: depth)
    }
  }

  private mutating func container(_ index: Int, depth: Int) throws(FormatError) -> Node {
    if let node = finished[index] { return node }
    guard open.insert(index).inserted else {
      throw FormatError("the pickle holds a container inside itself; expected a state_dict; re-save only model.state_dict()")
    }
    guard depth < CheckpointValue.maximumDepth else { throw tooDeep }
    defer { open.remove(index) }
    let container = source.containers[index]
    var height = 0
    var nodes: [CheckpointValue] = []
    nodes.reserveCapacity(container.items.count)
    for item in container.items {
      let node = try build(item, depth: depth + 1)
      height = max(height, node.height + 1)
      nodes.append(node.value)
    }
    // A container that was finished earlier may be deeper than the present path.
    guard height <= CheckpointValue.maximumDepth else { throw tooDeep }
    let value: CheckpointValue
    switch container.kind {
    case .list, .tuple, .set: value = .list(nodes)
    case .mapping, .namespace: value = .dictionary(dictionary(nodes))
    }
    finished[index] = (value, height)
    return (value, height)
  }

  private var tooDeep: FormatError {
    FormatError(
      "the pickle is nested deeper than \(CheckpointValue.maximumDepth) levels; expected a state_dict; re-save only "
        + "model.state_dict()"
    )
  }

  /// Makes pairs of alternating keys and values. A key that occurs again replaces its value and keeps its place, as in Python.
  private func dictionary(_ items: [CheckpointValue]) -> [(key: CheckpointValue, value: CheckpointValue)] {
    var result: [(key: CheckpointValue, value: CheckpointValue)] = []
    var places: [Key: Int] = [:]
    for position in stride(from: 0, to: items.count - 1, by: 2) {
      let key: Key? =
        switch items[position] {
        case .string(let text): .string(text)
        case .int(let number): .int(number)
        case .bool(let flag): .bool(flag)
        case .none: Key.none
        default: nil
        }
      if let key, let place = places[key] {
        result[place].value = items[position + 1]
      } else {
        if let key { places[key] = result.count }
        result.append((items[position], items[position + 1]))
      }
    }
    return result
  }
}
