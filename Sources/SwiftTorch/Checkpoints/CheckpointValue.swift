/// A value of a PyTorch checkpoint: a number, text, a container, a tensor, or an object of Python that stays opaque.
///
/// The value points into the file's pickle. Its parts are looked up when a caller asks for them, so containers may be shared, hold
/// themselves or lie at any depth.
public struct CheckpointValue: Sendable {
  /// A value with its direct parts.
  public enum Content: Sendable {
    case none
    case bool(Bool)
    case int(Int)
    case float(Double)
    case string(String)
    case bytes([UInt8])
    /// A list, tuple, `torch.Size` or set.
    case list([CheckpointValue])
    /// A dictionary, `OrderedDict`, `defaultdict` or `Counter`. The keys keep their order, and each occurs once.
    case dictionary([Entry])
    case tensor(StoredTensor)
    /// The result of a call that the reader does not make, with the attributes that the file gives it.
    case object(type: String, attributes: [Entry])
    /// The description of any other value: a class, a bare storage, a number beyond 64 bits.
    case other(String)
  }

  /// A key and its value in a dictionary of the checkpoint.
  public typealias Entry = (key: CheckpointValue, value: CheckpointValue)

  /// The parts of a finished pickle.
  final class Pickle: Sendable {
    let containers: [Unpickler.Container]
    let objects: [Unpickler.Object]
    let globals: [String]
    let storages: [Unpickler.StorageRecord]
    let tensors: [StoredTensor]

    init(_ machine: Unpickler, tensors: [StoredTensor]) {
      containers = machine.containers
      objects = machine.objects
      globals = machine.globals
      storages = machine.storages
      self.tensors = tensors
    }
  }

  let pickle: Pickle
  let value: Unpickler.Value

  /// The value with its direct parts.
  public var content: Content {
    switch value {
    case .none: return .none
    case .bool(let flag): return .bool(flag)
    case .int(let number): return .int(number)
    case .float(let number): return .float(number)
    case .string(let text): return .string(text)
    case .bytes(let storage): return if case .bytes(let bytes) = storage.origin { .bytes(Array(bytes)) } else { .none }
    case .long(let bytes): return .other("a whole number of \(bytes.count) bytes")
    case .storage(let index): return .other("a storage of \(pickle.storages[index].dtype)")
    case .global(let index): return .other("the name \(quoted(pickle.globals[index]))")
    case .tensor(let index): return .tensor(pickle.tensors[index])
    case .object(let index):
      return .object(type: pickle.globals[pickle.objects[index].type], attributes: entries(pickle.objects[index].attributes))
    case .container(let index):
      let container = pickle.containers[index]
      return container.kind == .mapping ? .dictionary(entries(container.items)) : .list(container.items.map(part))
    }
  }

  /// The alternating keys and values of a dictionary or of an object's attributes; nil for any other value.
  private var items: [Unpickler.Value]? {
    switch value {
    case .object(let index): pickle.objects[index].attributes
    case .container(let index) where pickle.containers[index].kind == .mapping: pickle.containers[index].items
    default: nil
    }
  }

  /// The entries of a dictionary, or the attributes of an object; nil for any other value.
  public var entries: [Entry]? { items.map(entries) }

  /// The value of a text key or the attribute with this name, or nil if there is none. A key of bytes counts as its text.
  public subscript(_ name: String) -> CheckpointValue? {
    guard let items else { return nil }
    for place in stride(from: items.count - 2, through: 0, by: -2) {
      switch items[place] {
      case .string(name): return part(items[place + 1])
      case .bytes(let storage):
        if case .bytes(let bytes) = storage.origin, bytes.elementsEqual(name.utf8) { return part(items[place + 1]) }
      default: break
      }
    }
    return nil
  }

  /// The tensor, or nil for any other value.
  public var tensor: StoredTensor? { if case .tensor(let index) = value { pickle.tensors[index] } else { nil } }

  /// The text, or nil for any other value.
  public var string: String? { if case .string(let text) = value { text } else { nil } }

  /// The kind of the value in Python's words, for messages.
  public var kind: String {
    switch content {
    case .none: "None"
    case .bool, .int, .float: "a number"
    case .string: "a string"
    case .bytes: "bytes"
    case .list: "a list"
    case .dictionary: "a dictionary"
    case .tensor: "a tensor"
    case .object(let type, _): Self.tensorKinds[type] ?? "an object of \(quoted(type))"
    case .other(let description): description
    }
  }

  /// The tensors that have no description by strides.
  private static let tensorKinds = [
    "torch._utils._rebuild_qtensor": "a quantized tensor", "torch._utils._rebuild_sparse_tensor": "a sparse tensor",
    "torch._utils._rebuild_sparse_csr_tensor": "a sparse tensor", "torch._utils._rebuild_nested_tensor": "a nested tensor",
    "torch._utils._rebuild_meta_tensor_no_storage": "a tensor of the device meta, which has no elements",
  ]

  /// The identity of a container or object, for walks over values that may hold themselves.
  var identity: Int? {
    switch value {
    case .container(let index): index
    case .object(let index): pickle.containers.count + index
    default: nil
    }
  }

  private func part(_ value: Unpickler.Value) -> CheckpointValue { CheckpointValue(pickle: pickle, value: value) }

  /// A dictionary key. Two keys are equal if Python finds them equal.
  private enum Key: Hashable {
    case string(String)
    case int(Int)
    case bool(Bool)
    case none
  }

  /// Makes pairs of alternating keys and values. A key that occurs again replaces its value and keeps its place, as in Python.
  private func entries(_ items: [Unpickler.Value]) -> [Entry] {
    var result: [Entry] = []
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
        result[place].value = part(items[position + 1])
      } else {
        if let key { places[key] = result.count }
        result.append((part(items[position]), part(items[position + 1])))
      }
    }
    return result
  }
}

extension Unpickler {
  /// Turns the result of a pickle into a value, with tensors on the given storages: one for each of `self.storages`.
  func value(_ root: Value, storages bound: [StoredTensor.Storage]) throws(FormatError) -> CheckpointValue {
    guard bound.count == storages.count else { throw damaged("holds tensors in the wrong place") }
    var made: [StoredTensor] = []
    for record in tensors {
      var tensor = try StoredTensor(
        storage: bound[record.storage], dtype: record.dtype, shape: record.shape, strides: record.strides, offset: record.offset)
      tensor.requiresGrad = record.requiresGrad
      tensor.isConjugate = record.isConjugate
      tensor.isNegative = record.isNegative
      made.append(tensor)
    }
    return CheckpointValue(pickle: CheckpointValue.Pickle(self, tensors: made), value: root)
  }
}
