import CTorchShim

/// An argument of an operator call.
enum Argument {
  case none
  case bool(Bool)
  case int(Int)
  case double(Double)
  case scalar(Scalar)
  case tensor(Tensor)
  case generator(Generator)
  case dtype(DType)
  case device(Device)
  case memoryFormat(MemoryFormat)
  case string(String)
  case ints([Int])
  case doubles([Double])
  case bools([Bool])
  case tensors([Tensor])
  case optionalTensors([Tensor?])

  static func optional(_ tensor: Tensor?) -> Argument { tensor.map { .tensor($0) } ?? .none }
  static func optional(_ integer: Int?) -> Argument { integer.map { .int($0) } ?? .none }
  static func optional(_ scalar: Scalar?) -> Argument { scalar.map { .scalar($0) } ?? .none }
  static func optional(_ integers: [Int]?) -> Argument { integers.map { .ints($0) } ?? .none }
  static func optional(_ dtype: DType?) -> Argument { dtype.map { .dtype($0) } ?? .none }
  static func optional(_ generator: Generator?) -> Argument { generator.map { .generator($0) } ?? .none }
}

extension [Argument] {
  /// The tensors among the arguments, for error messages.
  var tensors: [Tensor] {
    flatMap { argument -> [Tensor] in
      switch argument {
      case .tensor(let tensor): [tensor]
      case .tensors(let list): list
      case .optionalTensors(let list): list.compactMap { $0 }
      default: []
      }
    }
  }

  /// Gives `body` the arguments in the shim's layout. They are valid only inside `body`.
  ///
  /// The function copies lists to scratch memory, so no pointer into an array or a tensor outlives its owner.
  func withValues<Result>(_ body: (UnsafeBufferPointer<ts_value>) -> Result) -> Result {
    var words = 0
    for argument in self {
      switch argument {
      case .ints(let list): words += list.count
      case .doubles(let list): words += list.count
      case .bools(let list): words += list.count / 8 + 1
      case .tensors(let list): words += list.count
      case .optionalTensors(let list): words += list.count
      case .string(let text): words += text.utf8.count / 8 + 1
      default: break
      }
    }
    return withUnsafeTemporaryAllocation(of: ts_value.self, capacity: count) { values in
      withUnsafeTemporaryAllocation(of: UInt64.self, capacity: Swift.max(words, 1)) { scratch in
        var free = UnsafeMutableRawBufferPointer(scratch)[...]
        for (i, argument) in enumerated() { values.initializeElement(at: i, to: ts_value(argument, scratch: &free)) }
        return withExtendedLifetime(self) { body(UnsafeBufferPointer(values)) }
      }
    }
  }
}

extension ts_value {
  @inline(__always) init(_ tensor: Tensor) {
    self.init()
    kind = Int32(TS_TENSOR)
    self.as.tensor = tensor.handle
  }

  fileprivate init(_ argument: Argument, scratch: inout Slice<UnsafeMutableRawBufferPointer>) {
    self.init()
    switch argument {
    case .none: kind = Int32(TS_NONE)
    case .bool(let value): (kind, self.as.boolean) = (Int32(TS_BOOL), value)
    case .int(let value): (kind, self.as.integer) = (Int32(TS_INT), Int64(value))
    case .double(let value): (kind, self.as.real) = (Int32(TS_DOUBLE), value)
    case .scalar(.bool(let value)): (kind, self.as.boolean) = (Int32(TS_BOOL), value)
    case .scalar(.int(let value)): (kind, self.as.integer) = (Int32(TS_INT), Int64(value))
    case .scalar(.double(let value)): (kind, self.as.real) = (Int32(TS_DOUBLE), value)
    case .tensor(let value): (kind, self.as.tensor) = (Int32(TS_TENSOR), value.handle)
    case .generator(let value): (kind, self.as.generator) = (Int32(TS_GENERATOR), value.handle)
    case .dtype(let value): (kind, self.as.integer) = (Int32(TS_DTYPE), Int64(value.rawValue))
    case .device(let value): (kind, self.as.device) = (Int32(TS_DEVICE), value.abi)
    case .memoryFormat(let value): (kind, self.as.integer) = (Int32(TS_MEMORY_FORMAT), Int64(value.rawValue))
    case .string(let text):
      kind = Int32(TS_STRING)
      count = text.utf8.count
      let bytes = Self.take(count / 8 + 1, from: &scratch).bindMemory(to: CChar.self)
      for (i, byte) in text.utf8.enumerated() { bytes[i] = CChar(bitPattern: byte) }
      bytes[count] = 0
      self.as.string = UnsafePointer(bytes.baseAddress)
    case .ints(let list):
      kind = Int32(TS_INT_LIST)
      count = list.count
      let words = Self.take(count, from: &scratch).bindMemory(to: Int64.self)
      for (i, value) in list.enumerated() { words[i] = Int64(value) }
      self.as.integers = UnsafePointer(words.baseAddress)
    case .doubles(let list):
      kind = Int32(TS_DOUBLE_LIST)
      count = list.count
      let words = Self.take(count, from: &scratch).bindMemory(to: Double.self)
      for (i, value) in list.enumerated() { words[i] = value }
      self.as.reals = UnsafePointer(words.baseAddress)
    case .bools(let list):
      kind = Int32(TS_BOOL_LIST)
      count = list.count
      let bytes = Self.take(count / 8 + 1, from: &scratch).bindMemory(to: Bool.self)
      for (i, value) in list.enumerated() { bytes[i] = value }
      self.as.booleans = UnsafePointer(bytes.baseAddress)
    case .tensors(let list):
      kind = Int32(TS_TENSOR_LIST)
      count = list.count
      self.as.tensors = Self.handles(list, scratch: &scratch)
    case .optionalTensors(let list):
      kind = Int32(TS_OPTIONAL_TENSOR_LIST)
      count = list.count
      self.as.tensors = Self.handles(list, scratch: &scratch)
    }
  }

  private static func handles(
    _ list: [Tensor?], scratch: inout Slice<UnsafeMutableRawBufferPointer>
  ) -> UnsafeMutablePointer<ts_tensor?>? {
    let slots = take(list.count, from: &scratch).bindMemory(to: ts_tensor?.self)
    for (i, tensor) in list.enumerated() { slots[i] = tensor?.handle }
    return slots.baseAddress
  }

  private static func take(
    _ words: Int, from scratch: inout Slice<UnsafeMutableRawBufferPointer>
  ) -> UnsafeMutableRawBufferPointer {
    let taken = UnsafeMutableRawBufferPointer(rebasing: scratch.prefix(words * 8))
    scratch = scratch.dropFirst(words * 8)
    return taken
  }
}
