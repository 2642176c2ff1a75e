extension Unpickler {
  /// The Python names that stand for containers and tensors. The unpickler builds their results itself.
  enum Builder {
    case mapping, list, tuple, set, latin1, reconstructor
    case tensor, tensorV2, tensorV3, parameter, subclass

    static let named: [String: Builder] = [
      "collections.OrderedDict": .mapping, "collections.defaultdict": .mapping, "collections.Counter": .mapping,
      "builtins.dict": .mapping, "__builtin__.dict": .mapping, "builtins.list": .list, "__builtin__.list": .list,
      "builtins.tuple": .tuple, "__builtin__.tuple": .tuple, "torch.Size": .tuple, "builtins.set": .set, "__builtin__.set": .set,
      "builtins.frozenset": .set, "__builtin__.frozenset": .set, "_codecs.encode": .latin1,
      "copyreg._reconstructor": .reconstructor, "copy_reg._reconstructor": .reconstructor,
      "torch._utils._rebuild_tensor": .tensor, "torch._utils._rebuild_tensor_v2": .tensorV2,
      "torch._utils._rebuild_tensor_v3": .tensorV3, "torch._utils._rebuild_parameter": .parameter,
      "torch._utils._rebuild_parameter_with_state": .parameter, "torch.nn.parameter.Parameter": .parameter,
      "torch._tensor._rebuild_from_type_v2": .subclass,
    ]
  }

  /// The element types of PyTorch's storage classes.
  private static let storageTypes: [String: DType] = [
    "Double": .float64, "Float": .float32, "Half": .float16, "BFloat16": .bfloat16, "Long": .int64, "Int": .int32,
    "Short": .int16, "Char": .int8, "Byte": .uint8, "Bool": .bool, "ComplexFloat": .complex64, "ComplexDouble": .complex128,
    "QInt8": .qint8, "QUInt8": .quint8, "QInt32": .qint32, "QUInt4x2": .quint4x2, "QUInt2x4": .quint2x4, "Untyped": .uint8,
    "_Untyped": .uint8, "Typed": .uint8, "_Typed": .uint8,
  ]

  /// Does REDUCE, NEWOBJ, INST and OBJ: pushes the value of a known name, or an opaque object.
  mutating func call(_ function: Value, _ arguments: [Value]) throws(FormatError) {
    if let value = try built(function, arguments) { return try push(value) }
    let type: Int
    switch function {
    case .global(let index): type = index
    case .object(let index): type = objects[index].type
    default: throw damaged("calls a value that is not a function")
    }
    objects.append(Object(type: type, arguments: arguments))
    try push(.object(objects.count - 1))
  }

  /// Returns the result of a known name, or nil if the name or an argument has a meaning that the unpickler does not know.
  private mutating func built(_ function: Value, _ arguments: [Value]) throws(FormatError) -> Value? {
    guard case .global(let index) = function, let builder = Builder.named[globals[index]] else { return nil }
    switch builder {
    case .mapping: return try mapping(arguments).map { container(.mapping, $0) }
    case .list: return try copies(arguments).map { container(.list, $0) }
    case .tuple: return try copies(arguments).map { container(.tuple, $0) }
    case .set: return try copies(arguments).map { container(.set, $0) }
    case .latin1: return try latin1(arguments)
    case .reconstructor: return try reconstructed(arguments)
    case .tensor: return arguments.count == 4 ? try tensor(arguments) : nil
    case .tensorV2: return 6...7 ~= arguments.count ? try tensor(arguments, metadata: arguments.dropFirst(6).first) : nil
    case .tensorV3:
      guard 7...8 ~= arguments.count, case .global(let name) = arguments[6], globals[name].hasPrefix("torch."),
        let dtype = DType(named: String(globals[name].dropFirst("torch.".count)))
      else { return nil }
      return try tensor(arguments, dtype: dtype, metadata: arguments.dropFirst(7).first)
    case .parameter:
      guard case .tensor(let index)? = arguments.first, arguments.count <= 2 || hasNoHooks(arguments[2]) else { return nil }
      var record = tensors[index]
      record.requiresGrad = true
      if arguments.count > 1, case .bool(let flag) = arguments[1] { record.requiresGrad = flag }
      tensors.append(record)
      return .tensor(tensors.count - 1)
    case .subclass:
      // `_rebuild_from_type_v2(function, type, arguments, state)`. The state holds attributes of Python.
      guard arguments.count == 4, let parts = try? items(arguments[2], .tuple),
        let value = try built(arguments[0], parts), case .tensor = value
      else { return nil }
      return value
    }
  }

  /// Does BUILD: sets the attributes of an opaque object, and leaves the value on top. Other values need no attributes.
  mutating func build(state: Value) throws(FormatError) {
    guard case .object(let index) = try top() else { return }
    // An object with `__slots__` has a tuple of two dictionaries.
    let parts = if case .container(let pair) = state, containers[pair].kind == .tuple { containers[pair].items } else { [state] }
    for part in parts.prefix(2) {
      guard case .container(let mapping) = part, containers[mapping].kind == .mapping else {
        objects[index].state = state
        continue
      }
      try charge(containers[mapping].items.count)
      objects[index].attributes.append(contentsOf: containers[mapping].items)
    }
  }

  /// Does BINPERSID: finds a storage by its key, `('storage', type, key, location, count[, view])`.
  mutating func persistentValue(_ identifier: Value) throws(FormatError) -> Value {
    let parts = (try? items(identifier, .tuple)) ?? []
    // PyTorch wrote classes with their source code, `('module', class, file, source)`.
    if parts.count > 1, case .string("module") = parts[0] { return parts[1] }
    guard parts.count >= 5, case .string("storage") = parts[0], case .global(let type) = parts[1], let dtype = storageType(type)
    else {
      try pushGlobal("a persistent id")
      let name = try pop()
      try call(name, [identifier])
      return try pop()
    }
    guard case .int(let count) = parts[4], count >= 0 else { throw damaged("has a storage without a size") }
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

  private func storageType(_ global: Int) -> DType? {
    let parts = globals[global].split(separator: ".")
    guard parts.first == "torch", parts.last?.hasSuffix("Storage") == true else { return nil }
    return Self.storageTypes[String(parts.last!.dropLast("Storage".count))]
  }

  // MARK: Tensors

  /// Runs `_rebuild_tensor(storage, offset, size, stride[, requires_grad, hooks[, dtype][, metadata]])`.
  ///
  /// - Returns: nil if an argument has a meaning that stored tensors do not have.
  private mutating func tensor(
    _ arguments: [Value], dtype: DType? = nil, metadata: Value? = nil
  ) throws(FormatError) -> Value? {
    guard case .storage(let storage) = arguments[0], case .int(let offset) = arguments[1],
      let shape = try integers(arguments[2]), let strides = try integers(arguments[3])
    else { return nil }
    var record = TensorRecord(
      storage: storage, dtype: dtype ?? storages[storage].dtype, offset: offset, shape: shape, strides: strides)
    if arguments.count > 4 {
      guard case .bool(let flag) = arguments[4], hasNoHooks(arguments[5]) else { return nil }
      record.requiresGrad = flag
    }
    switch metadata {
    case nil, .some(.none): break
    case .container(let index)? where containers[index].kind == .mapping:
      let items = containers[index].items
      for position in stride(from: 0, to: items.count, by: 2) {
        switch (items[position], items[position + 1]) {
        case (.string("conj"), .bool(let flag)): record.isConjugate = flag
        case (.string("neg"), .bool(let flag)): record.isNegative = flag
        default: return nil
        }
      }
    default: return nil
    }
    guard !record.dtype.isQuantized, !record.isConjugate || record.dtype.isComplex else { return nil }
    tensors.append(record)
    return .tensor(tensors.count - 1)
  }

  /// Returns true for None and for an empty dictionary. PyTorch does not save hooks.
  private func hasNoHooks(_ value: Value) -> Bool {
    switch value {
    case .none: true
    case .container(let index): containers[index].items.isEmpty
    default: false
    }
  }

  private mutating func integers(_ value: Value) throws(FormatError) -> [Int]? {
    guard let values = try? items(value, .tuple, .list), values.count <= StoredTensor.maximumDimensions else { return nil }
    try charge(values.count)
    var result: [Int] = []
    for value in values {
      guard case .int(let number) = value else { return nil }
      result.append(number)
    }
    return result
  }

  // MARK: Containers

  private mutating func container(_ kind: Container.Kind, _ items: [Value]) -> Value {
    containers.append(Container(kind: kind, items: items))
    return .container(containers.count - 1)
  }

  /// Runs `dict(…)`, `OrderedDict(…)` and `Counter(…)` with nothing, pairs or another mapping. `defaultdict` has its factory first.
  private mutating func mapping(_ arguments: [Value]) throws(FormatError) -> [Value]? {
    var arguments = arguments[...]
    if case .global? = arguments.first { arguments = arguments.dropFirst() }
    if case .none? = arguments.first { arguments = arguments.dropFirst() }
    guard let source = arguments.first else { return [] }
    guard arguments.count == 1, case .container(let index) = source else { return nil }
    let items = containers[index].items
    try charge(items.count * 2)
    if containers[index].kind == .mapping { return items }
    var pairs: [Value] = []
    for item in items {
      guard let pair = try? self.items(item, .tuple, .list), pair.count == 2 else { return nil }
      pairs.append(contentsOf: pair)
    }
    return pairs
  }

  private mutating func copies(_ arguments: [Value]) throws(FormatError) -> [Value]? {
    guard let source = arguments.first else { return [] }
    guard arguments.count == 1, let items = try? self.items(source, .list, .tuple, .set) else { return nil }
    try charge(items.count)
    return items
  }

  /// Runs `_reconstructor(class, base, state)`, by which protocols 0 and 1 make objects.
  private mutating func reconstructed(_ arguments: [Value]) throws(FormatError) -> Value? {
    guard arguments.count == 3, case .global(let type) = arguments[0] else { return nil }
    var object = Object(type: type, arguments: [])
    if let entries = try? items(arguments[2], .mapping) {
      try charge(entries.count)
      object.attributes = entries
    }
    objects.append(object)
    return .object(objects.count - 1)
  }

  /// Runs `_codecs.encode(text, "latin1")`, by which protocols 0 to 2 write bytes.
  private mutating func latin1(_ arguments: [Value]) throws(FormatError) -> Value? {
    guard arguments.count == 2, case .string(let text) = arguments[0], case .string(let codec) = arguments[1],
      codec == "latin1" || codec == "latin-1"
    else { return nil }
    try charge(text.utf8.count)
    var bytes: [UInt8] = []
    for scalar in text.unicodeScalars {
      guard let byte = UInt8(exactly: scalar.value) else { return nil }
      bytes.append(byte)
    }
    return .bytes(StoredTensor.Storage(bytes: bytes[...]))
  }
}
