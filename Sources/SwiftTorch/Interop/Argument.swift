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
  case bools([Bool])
  case tensors([Tensor])
  case optionalTensors([Tensor?])

  static func optional(_ tensor: Tensor?) -> Argument { tensor.map { .tensor($0) } ?? .none }
  static func optional(_ integer: Int?) -> Argument { integer.map { .int($0) } ?? .none }

  /// The number of elements that a list or a text needs in scratch memory.
  fileprivate var elementCount: Int {
    switch self {
    case .string(let text): text.utf8.count + 1
    case .ints(let list): list.count
    case .bools(let list): list.count
    case .tensors(let list): list.count
    case .optionalTensors(let list): list.count
    default: 0
    }
  }
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

  /// Gives `body` the arguments in the shim's layout, with copies of lists. They are valid only inside `body`.
  func withValues<Result>(_ body: (UnsafeBufferPointer<ts_value>) -> Result) -> Result {
    let words = reduce(0) { $0 + $1.elementCount }
    return withUnsafeTemporaryAllocation(of: ts_value.self, capacity: count) { values in
      withUnsafeTemporaryAllocation(of: UInt64.self, capacity: Swift.max(words, 1)) { scratch in
        var free = scratch[...]
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

  fileprivate init(_ argument: Argument, scratch: inout Slice<UnsafeMutableBufferPointer<UInt64>>) {
    self.init()
    switch argument {
    case .none: kind = Int32(TS_NONE)
    case .bool(let value), .scalar(.bool(let value)):
      kind = Int32(TS_BOOL)
      self.as.boolean = value
    case .int(let value), .scalar(.int(let value)):
      kind = Int32(TS_INT)
      self.as.integer = Int64(value)
    case .double(let value), .scalar(.double(let value)):
      kind = Int32(TS_DOUBLE)
      self.as.real = value
    case .tensor(let value):
      kind = Int32(TS_TENSOR)
      self.as.tensor = value.handle
    case .generator(let value):
      kind = Int32(TS_GENERATOR)
      self.as.generator = value.handle
    case .dtype(let value):
      kind = Int32(TS_DTYPE)
      self.as.integer = Int64(value.rawValue)
    case .device(let value):
      kind = Int32(TS_DEVICE)
      self.as.device = value.abi
    case .memoryFormat(let value):
      kind = Int32(TS_MEMORY_FORMAT)
      self.as.integer = Int64(value.rawValue)
    case .string(let text):
      self.as.string = UnsafePointer(fill(TS_STRING, text.utf8CString, &scratch) { $0 })
      count -= 1  // The shim does not count the final zero.
    case .ints(let list): self.as.integers = UnsafePointer(fill(TS_INT_LIST, list, &scratch) { Int64($0) })
    case .bools(let list): self.as.booleans = UnsafePointer(fill(TS_BOOL_LIST, list, &scratch) { $0 })
    case .tensors(let list): self.as.tensors = fill(TS_TENSOR_LIST, list, &scratch) { $0.handle }
    case .optionalTensors(let list): self.as.tensors = fill(TS_OPTIONAL_TENSOR_LIST, list, &scratch) { $0?.handle }
    }
  }

  /// Sets the kind and the count, and copies the elements to the front of the scratch memory. No element is larger than a word.
  private mutating func fill<List: Collection, Element>(
    _ kind: Int, _ list: List, _ scratch: inout Slice<UnsafeMutableBufferPointer<UInt64>>, _ convert: (List.Element) -> Element
  ) -> UnsafeMutablePointer<Element>? {
    self.kind = Int32(kind)
    count = list.count
    let words = UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: scratch.prefix(list.count)))
    scratch = scratch.dropFirst(list.count)
    let elements = words.bindMemory(to: Element.self)
    for (i, element) in list.enumerated() { elements[i] = convert(element) }
    return elements.baseAddress
  }
}
