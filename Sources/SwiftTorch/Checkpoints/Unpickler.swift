/// An inert pickle machine: it builds numbers, text, containers and descriptions of tensors, and nothing else.
///
/// A pickle may name any class or function. The machine never imports or calls one. It knows the few that stand for containers and
/// tensors (`Builder`), and makes an opaque object of every other call: a record of the name, the arguments and the attributes.
///
/// It reads protocols 0 to 5. All containers and objects live in flat arenas and refer to each other by index. Therefore nested or
/// cyclic input cannot make memory management recurse. The input's length bounds the work.
///
/// Source: the opcode table of Python's `pickletools`.
struct Unpickler {
  enum Value {
    case none
    case bool(Bool)
    case int(Int)
    /// A whole number beyond 64 bits, in two's complement, little-endian.
    case long([UInt8])
    case float(Double)
    case string(String)
    case bytes(StoredTensor.Storage)
    case container(Int)
    case object(Int)
    case storage(Int)
    case tensor(Int)
    /// The index of a class or function in `globals`.
    case global(Int)
  }

  struct Container {
    enum Kind { case list, tuple, set, mapping }
    let kind: Kind
    /// The elements. In a mapping, keys and values alternate.
    var items: [Value]
  }

  /// The result of a call that the machine does not make.
  struct Object {
    /// The class or function, as an index in `globals`.
    let type: Int
    let arguments: [Value]
    /// The attributes, and the entries of a subclass of `dict`. Keys and values alternate.
    var attributes: [Value] = []
    /// A state that is not a dictionary of attributes.
    var state = Value.none
  }

  /// A storage that the pickle names and that the file holds in another place.
  struct StorageRecord {
    let key: String
    let dtype: DType
    let count: Int
    /// The used part of the storage, in elements. Only files of PyTorch 0.x have one.
    let view: Range<Int>?
  }

  struct TensorRecord {
    let storage: Int
    let dtype: DType
    let offset: Int
    let shape: [Int]
    let strides: [Int]
    var requiresGrad = false
    var isConjugate = false
    var isNegative = false
  }

  /// The most values of one pickle. A state_dict has a few thousand. A hostile file could need many times its size in memory.
  static let maximumValues = 8_000_000

  var cursor: ByteCursor
  var containers: [Container] = []
  var objects: [Object] = []
  /// The names of classes and functions ("collections.OrderedDict").
  var globals: [String] = []
  private var globalIndices: [String: Int] = [:]
  var storages: [StorageRecord] = []
  var tensors: [TensorRecord] = []
  var storageIndices: [String: Int] = [:]
  var stack: [Value] = []
  private var marks: [Int] = []
  private var memo: [Int: Value] = [:]
  private var made = 0
  private var copied = 0
  private let allowance: Int

  /// Prepares to read a pickle, from the index of its first byte to the index after its last possible byte.
  init(_ bytes: [UInt8], from start: Int = 0, to end: Int? = nil) {
    cursor = ByteCursor(bytes, from: start, to: end, subject: "the pickle")
    allowance = 4 * cursor.remaining + 1024
  }

  /// Runs to the STOP opcode and returns the value on top. Then `cursor.position` is the first byte after the pickle.
  mutating func run() throws(FormatError) -> Value {
    while true {
      let code = try cursor.byte()
      guard let opcode = Opcode(rawValue: code) else { throw damaged("has the unknown opcode \(code)") }
      if opcode == .stop { return try pop() }
      try execute(opcode)
    }
  }

  // MARK: Stack, marks, memo

  mutating func push(_ value: Value) throws(FormatError) {
    try count()
    stack.append(value)
  }

  private mutating func count() throws(FormatError) {
    made += 1
    guard made <= Self.maximumValues else {
      throw FormatError(
        "the pickle makes more than \(Self.maximumValues) values; expected a state_dict; re-save only model.state_dict()")
    }
  }

  mutating func push(_ kind: Container.Kind, _ items: [Value]) throws(FormatError) {
    containers.append(Container(kind: kind, items: items))
    try push(.container(containers.count - 1))
  }

  /// Pushes a class or function by its name. Nothing is imported.
  mutating func pushGlobal(_ name: String) throws(FormatError) {
    let index = globalIndices[name] ?? globals.count
    if index == globals.count {
      globals.append(name)
      globalIndices[name] = index
    }
    try push(.global(index))
  }

  mutating func pop() throws(FormatError) -> Value {
    guard stack.count > (marks.last ?? 0) else { throw damaged("takes from an empty stack") }
    return stack.removeLast()
  }

  func top() throws(FormatError) -> Value {
    guard stack.count > (marks.last ?? 0), let value = stack.last else { throw damaged("looks at an empty stack") }
    return value
  }

  mutating func mark() { marks.append(stack.count) }

  mutating func popToMark() throws(FormatError) -> [Value] {
    guard let mark = marks.popLast() else { throw damaged("lacks a mark") }
    let values = Array(stack[mark...])
    stack.removeLast(values.count)
    return values
  }

  mutating func pop(_ count: Int) throws(FormatError) -> [Value] {
    guard stack.count - count >= (marks.last ?? 0) else { throw damaged("takes from an empty stack") }
    let values = Array(stack.suffix(count))
    stack.removeLast(count)
    return values
  }

  mutating func remember(_ index: Int?) throws(FormatError) {
    try count()
    memo[index ?? memo.count] = try top()
  }

  mutating func recall(_ index: Int) throws(FormatError) {
    guard let value = memo[index] else { throw damaged("recalls a value that it never stored") }
    try push(value)
  }

  // MARK: Containers

  /// Counts copied elements and throws if there are too many. Without a limit, a few bytes of pickle could repeat copies for ever.
  mutating func charge(_ count: Int) throws(FormatError) {
    copied += count
    guard copied <= allowance else { throw damaged("copies more than a file of its size can hold") }
  }

  func items(_ value: Value, _ kinds: Container.Kind...) throws(FormatError) -> [Value] {
    guard case .container(let index) = value, kinds.contains(containers[index].kind) else {
      throw damaged("has a value of the wrong kind")
    }
    return containers[index].items
  }

  /// Adds values to the container on top. An opaque object keeps the entries of a mapping and drops other elements.
  mutating func append(_ values: [Value], kind: Container.Kind) throws(FormatError) {
    guard kind != .mapping || values.count.isMultiple(of: 2) else { throw damaged("adds a key without a value") }
    switch try top() {
    case .container(let index) where containers[index].kind == kind: containers[index].items.append(contentsOf: values)
    case .object(let index): if kind == .mapping { objects[index].attributes.append(contentsOf: values) }
    default: throw damaged("adds to a value that cannot grow")
    }
  }

  func damaged(_ what: String) -> FormatError {
    FormatError("the pickle \(what) near byte \(cursor.position), so it is damaged; copy or download the file again")
  }
}
