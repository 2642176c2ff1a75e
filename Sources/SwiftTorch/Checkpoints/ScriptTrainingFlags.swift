/// The modules of a TorchScript archive that were in training mode when it was saved. libtorch reports only the outermost module.
///
/// The reader scans the archive's pickle of objects. Each module is a NEWOBJ … BUILD with attributes as keys and values, and
/// `training` is one of them. The reader builds no object and stops at the first instruction that it does not know.
struct ScriptTrainingFlags {
  /// PyTorch's names of these modules, such as "layer.0.dropout"; "" for the outermost module.
  private(set) var modules: [String] = []

  private var cursor: ByteCursor
  /// The attributes that lead to the present module.
  private var path: [String] = []
  private var memo: [Int: String] = [:]
  /// The last text on the stack. `isTextOnTop` is true if nothing came after it.
  private var text = ""
  private var isTextOnTop = false

  init(_ pickle: [UInt8]) {
    cursor = ByteCursor(pickle, subject: "the archive's objects")
    while let code = try? cursor.byte(), let opcode = Unpickler.Opcode(rawValue: code), opcode != .stop {
      guard (try? read(opcode)) != nil else { break }
    }
  }

  private mutating func read(_ opcode: Unpickler.Opcode) throws(FormatError) {
    let wasTextOnTop = isTextOnTop
    isTextOnTop = false
    switch opcode {
    case .binUnicode:
      text = String(decoding: cursor.bytes[try cursor.take(try cursor.size(4))], as: UTF8.self)
      isTextOnTop = true
    case .binPut, .longBinPut:
      let index = try cursor.size(opcode == .binPut ? 1 : 4)
      if wasTextOnTop { memo[index] = text }
      isTextOnTop = wasTextOnTop
    case .binGet, .longBinGet:
      // The memo also recalls classes. Then the last text is still the attribute's name.
      guard let known = memo[try cursor.size(opcode == .binGet ? 1 : 4)] else { return }
      text = known
      isTextOnTop = true
    case .newObj: path.append(text)
    case .build: guard path.popLast() != nil else { throw FormatError("the archive's objects end more often than they begin") }
    case .newTrue: if wasTextOnTop && text == "training" { modules.append(path.dropFirst().joined(separator: ".")) }
    case .global: for _ in 0..<2 { _ = try cursor.line() }
    case .binInt1, .proto: _ = try cursor.byte()
    case .binInt2: _ = try cursor.take(2)
    case .binInt: _ = try cursor.take(4)
    case .binFloat: _ = try cursor.take(8)
    case .long1: _ = try cursor.take(Int(try cursor.byte()))
    case .long4, .binString: _ = try cursor.take(try cursor.size(4))
    case .shortBinString: _ = try cursor.take(Int(try cursor.byte()))
    case .mark, .pop, .popMark, .none, .newFalse, .emptyTuple, .tuple, .tuple1, .tuple2, .tuple3, .emptyList, .list, .append,
      .appends, .emptyDict, .dict, .setItem, .setItems, .reduce, .binPersID:
      break
    default: throw FormatError("the archive's objects hold an instruction that TorchScript does not write")
    }
  }
}
