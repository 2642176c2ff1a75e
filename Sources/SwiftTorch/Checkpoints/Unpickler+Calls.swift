extension Unpickler {
  /// Does REDUCE, NEWOBJ, INST and OBJ: pushes the value that a permitted global makes from its arguments.
  mutating func call(_ function: Value, _ arguments: [Value]) throws(FormatError) {
    guard case .global(let global) = function else { throw damaged("calls a value that is not a function") }
    switch global {
    case .mapping: try push(.mapping, try mapping(arguments))
    case .list: try push(.list, try copies(arguments))
    case .tuple, .size: try push(.tuple, try copies(arguments))
    case .set: try push(.set, try copies(arguments))
    case .namespace:
      guard arguments.isEmpty else { throw damaged("makes a Namespace with arguments") }
      try push(.namespace, [])
    case .rebuildTensor: try push(try tensor(arguments, count: 4...4))
    case .rebuildTensorV2: try push(try tensor(arguments, count: 6...7))
    case .rebuildTensorV3: try push(try tensor(arguments, count: 7...8))
    case .rebuildParameter, .parameter: try push(try parameter(arguments))
    case .device: try push(.string(try device(arguments)))
    case .encode: try push(.bytes(try latin1(arguments)))
    case .numpyType:
      guard case .string(let code)? = arguments.first else { throw damaged("makes a numpy dtype without a name") }
      try push(.numpyType(code))
    case .numpyScalar: try push(try numpyScalar(arguments))
    case .reconstructor:
      // Protocols 0 and 1 write `Namespace()` as `_reconstructor(Namespace, object, None)`.
      guard arguments.count == 3, case .global(.namespace) = arguments[0] else {
        throw damaged("reconstructs a value other than a Namespace")
      }
      try push(.namespace, [])
    case .inert, .dtype, .storage, .unsupportedStorage: throw damaged("calls a type that is only allowed as a name")
    }
  }

  /// Does BUILD: sets the attributes that matter, and leaves the value on top.
  mutating func build(state: Value) throws(FormatError) {
    switch try top() {
    case .container(let index) where containers[index].kind == .namespace:
      let attributes = try items(state, .mapping)
      try charge(attributes.count)
      containers[index].items.append(contentsOf: attributes)
    case .container(let index) where containers[index].kind == .mapping: break  // An OrderedDict's `_metadata`.
    case .tensor: break  // A parameter's Python attributes.
    case .numpyType:
      let state = try items(state, .tuple)
      if state.count > 1, case .string(">") = state[1] {
        throw FormatError("a numpy number in the pickle is big-endian; re-save it with little-endian numbers")
      }
    default: throw damaged("sets the state of a value without state")
    }
  }

  /// Does BINPERSID: finds a storage by its key, `('storage', type, key, location, count[, view])`.
  mutating func persistentStorage(_ identifier: Value) throws(FormatError) -> Value {
    let parts = try items(identifier, .tuple)
    guard parts.count >= 5, case .string("storage") = parts[0], case .global(let type) = parts[1] else {
      throw damaged("refers to an outside object that is not a storage")
    }
    if case .unsupportedStorage(let name) = type {
      throw FormatError(
        "a tensor's storage is \(quoted(name)), which is not supported; expected \(Self.dtypeNames); "
          + "convert it in Python and save again"
      )
    }
    guard case .storage(let dtype) = type, case .int(let count) = parts[4], count >= 0 else {
      throw damaged("has a storage without type or size")
    }
    let key: String
    switch parts[2] {
    case .string(let text): key = text
    case .int(let number): key = String(number)
    default: throw damaged("has a storage without a key")
    }
    var view: Range<Int>?
    var identity = key
    if parts.count > 5, case .container = parts[5] {
      let numbers = try items(parts[5], .tuple)
      guard numbers.count == 3, case .int(let offset) = numbers[1], case .int(let size) = numbers[2], offset >= 0, size >= 0,
        offset <= count, size <= count - offset
      else { throw damaged("has a storage view outside its storage") }
      view = offset..<offset + size
      identity += " \(offset) \(size)"
    }
    if let known = storageIndices[identity] {
      guard storages[known].dtype == dtype, storages[known].count == count else {
        throw damaged("describes storage \(quoted(key)) in two ways")
      }
      return .storage(known)
    }
    storageIndices[identity] = storages.count
    storages.append(StorageRecord(key: key, dtype: dtype, count: count, view: view))
    return .storage(storages.count - 1)
  }

  static let dtypeNames = DType.allCases.map(\.description).joined(separator: ", ")

  // MARK: Tensors

  /// Runs `_rebuild_tensor(storage, offset, size, stride)`. Version 2 adds `requires_grad, hooks`, and version 3 adds a dtype.
  private mutating func tensor(_ arguments: [Value], count: ClosedRange<Int>) throws(FormatError) -> Value {
    guard count.contains(arguments.count), case .storage(let storage) = arguments[0], case .int(let offset) = arguments[1] else {
      throw damaged("makes a tensor from the wrong arguments")
    }
    var dtype = storages[storage].dtype
    if count.lowerBound == 7 {
      guard case .global(.dtype(let name)) = arguments[6] else { throw damaged("makes a tensor without a dtype") }
      guard let known = DType.allCases.first(where: { "torch.\($0)" == name }) else {
        throw FormatError(
          "a tensor has the dtype \(name), which is not supported; expected \(Self.dtypeNames); convert it in Python and save again"
        )
      }
      dtype = known
    }
    var requiresGrad = false
    if arguments.count > 4, case .bool(let flag) = arguments[4] { requiresGrad = flag }
    let shape = try integers(arguments[2])
    let strides = try integers(arguments[3])
    tensors.append(
      TensorRecord(storage: storage, dtype: dtype, offset: offset, shape: shape, strides: strides, requiresGrad: requiresGrad))
    return .tensor(tensors.count - 1)
  }

  /// Runs `_rebuild_parameter(data, requires_grad, hooks[, state])` and `Parameter(data[, requires_grad])`.
  private mutating func parameter(_ arguments: [Value]) throws(FormatError) -> Value {
    guard case .tensor(let index)? = arguments.first else { throw damaged("makes a parameter from a value that is not a tensor") }
    var record = tensors[index]
    record.requiresGrad = true
    if arguments.count > 1, case .bool(let flag) = arguments[1] { record.requiresGrad = flag }
    tensors.append(record)
    return .tensor(tensors.count - 1)
  }

  private mutating func integers(_ value: Value) throws(FormatError) -> [Int] {
    let values = try items(value, .tuple, .list)
    guard values.count <= StoredTensor.maximumDimensions else { throw damaged("makes a tensor of \(values.count) dimensions") }
    try charge(values.count)
    var result: [Int] = []
    for value in values {
      guard case .int(let number) = value else { throw damaged("makes a tensor with a size that is not a whole number") }
      result.append(number)
    }
    return result
  }

  // MARK: Containers and numbers

  /// Runs `dict(…)`, `OrderedDict(…)` and `Counter(…)` with nothing, pairs or another mapping. `defaultdict` has its factory first.
  private mutating func mapping(_ arguments: [Value]) throws(FormatError) -> [Value] {
    var arguments = arguments[...]
    if case .global? = arguments.first { arguments = arguments.dropFirst() }
    if case .none? = arguments.first { arguments = arguments.dropFirst() }
    guard arguments.count <= 1 else { throw damaged("makes a dictionary from too many arguments") }
    guard let source = arguments.first else { return [] }
    guard case .container(let index) = source else { throw damaged("makes a dictionary from a value that is not a container") }
    let items = containers[index].items
    try charge(items.count * 2)
    if containers[index].kind == .mapping { return items }
    var pairs: [Value] = []
    for item in items {
      let pair = try self.items(item, .tuple, .list)
      guard pair.count == 2 else { throw damaged("makes a dictionary from items that are not pairs") }
      pairs.append(contentsOf: pair)
    }
    return pairs
  }

  private mutating func copies(_ arguments: [Value]) throws(FormatError) -> [Value] {
    guard arguments.count <= 1 else { throw damaged("makes a container from too many arguments") }
    guard let source = arguments.first else { return [] }
    let items = try self.items(source, .list, .tuple, .set)
    try charge(items.count)
    return items
  }

  /// Returns `torch.device("cuda", 0)` as "cuda:0".
  private func device(_ arguments: [Value]) throws(FormatError) -> String {
    guard case .string(let type)? = arguments.first, arguments.count <= 2 else { throw damaged("makes a device without a name") }
    if arguments.count == 2, case .int(let index) = arguments[1] { return "\(type):\(index)" }
    return type
  }

  /// Runs `_codecs.encode(text, "latin1")`, which is how Python 2 writes bytes.
  private mutating func latin1(_ arguments: [Value]) throws(FormatError) -> [UInt8] {
    guard arguments.count == 2, case .string(let text) = arguments[0], case .string(let codec) = arguments[1],
      codec == "latin1" || codec == "latin-1"
    else { throw damaged("encodes a value that is not Latin-1 text") }
    try charge(text.utf8.count)
    var bytes: [UInt8] = []
    for scalar in text.unicodeScalars {
      guard let byte = UInt8(exactly: scalar.value) else { throw damaged("encodes text that is not Latin-1") }
      bytes.append(byte)
    }
    return bytes
  }

  /// Returns `numpy.core.multiarray.scalar(dtype, bytes)` as a plain number.
  private mutating func numpyScalar(_ arguments: [Value]) throws(FormatError) -> Value {
    guard arguments.count == 2, case .numpyType(let code) = arguments[0] else { throw damaged("has a numpy number without a type") }
    let raw: [UInt8]
    switch arguments[1] {
    case .bytes(let bytes): raw = bytes
    case .string(let text): raw = try latin1([.string(text), .string("latin1")])
    default: throw damaged("has a numpy number without bytes")
    }
    guard raw.count <= 8, code.utf8.count == 2, let width = code.utf8.last, Int(width) - 0x30 == raw.count else {
      throw FormatError(
        "the pickle holds a numpy value of type \(quoted(code)); expected a plain number; re-save only model.state_dict()")
    }
    let bits = raw.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    switch code {
    case "f8": return .float(Double(bitPattern: bits))
    case "f4": return .float(Double(Float(bitPattern: UInt32(bits))))
    case "f2": return .float(Double(Float16(bitPattern: UInt16(bits))))
    case "b1": return .bool(bits != 0)
    case "i1", "i2", "i4", "i8":
      let unused = UInt64(64 - 8 * raw.count)
      return .int(Int(Int64(bitPattern: bits << unused) >> Int64(unused)))
    case "u1", "u2", "u4": return .int(Int(bits))
    case "u8": return Int(exactly: bits).map(Value.int) ?? .long(raw + [0])
    default:
      throw FormatError(
        "the pickle holds a numpy value of type \(quoted(code)); expected a plain number; re-save only model.state_dict()")
    }
  }
}
