extension Unpickler {
  /// Carries out one instruction. `run()` handles STOP and never passes it on.
  mutating func execute(_ opcode: Opcode) throws(FormatError) {
    if try usesStack(opcode) { return }
    if try pushesNumber(opcode) { return }
    if try pushesText(opcode) { return }
    if try fillsContainer(opcode) { return }
    if try calls(opcode) { return }
    try checkFraming(opcode)
  }

  /// Does the instructions of the stack and the memo; returns false for others.
  private mutating func usesStack(_ opcode: Opcode) throws(FormatError) -> Bool {
    switch opcode {
    case .mark: mark()
    case .pop: _ = try popOrUnmark()
    case .popMark: _ = try popToMark()
    case .duplicate: try push(try top())
    case .put: try remember(try memoIndex())
    case .binPut: try remember(Int(try cursor.byte()))
    case .longBinPut: try remember(try cursor.size(4))
    case .memoize: try remember(nil)
    case .get: try recall(try memoIndex())
    case .binGet: try recall(Int(try cursor.byte()))
    case .longBinGet: try recall(try cursor.size(4))
    default: return false
    }
    return true
  }

  /// Does the instructions of constants and numbers; returns false for others.
  private mutating func pushesNumber(_ opcode: Opcode) throws(FormatError) -> Bool {
    switch opcode {
    case .none: try push(.none)
    case .newTrue: try push(.bool(true))
    case .newFalse: try push(.bool(false))
    case .binInt1: try push(.int(Int(try cursor.byte())))
    case .binInt2: try push(.int(try cursor.size(2)))
    case .binInt: try push(.int(Int(Int32(truncatingIfNeeded: try cursor.number(4)))))
    case .long1: try push(integer(try cursor.take(Int(try cursor.byte()))))
    case .long4: try push(integer(try cursor.take(try cursor.size(4))))
    case .binFloat: try push(.float(Double(bitPattern: try cursor.number(8).byteSwapped)))
    case .int: try push(try textInteger(isLong: false))
    case .long: try push(try textInteger(isLong: true))
    case .float: try push(.float(try textFloat()))
    default: return false
    }
    return true
  }

  /// Does the instructions of text and bytes; returns false for others.
  private mutating func pushesText(_ opcode: Opcode) throws(FormatError) -> Bool {
    switch opcode {
    case .binUnicode: try push(try text(4))
    case .shortBinUnicode: try push(try text(1))
    case .binUnicode8: try push(try text(8))
    case .binString: try push(try legacyText(4))
    case .shortBinString: try push(try legacyText(1))
    case .unicode: try push(.string(try asciiLine()))
    case .binBytes, .binBytes8, .byteArray8:
      try push(bytes(try cursor.take(try cursor.size(opcode == .binBytes ? 4 : 8))))
    case .shortBinBytes: try push(bytes(try cursor.take(Int(try cursor.byte()))))
    default: return false
    }
    return true
  }

  /// Does the instructions of tuples, lists, mappings and sets; returns false for others.
  private mutating func fillsContainer(_ opcode: Opcode) throws(FormatError) -> Bool {
    switch opcode {
    case .emptyTuple: try push(.tuple, [])
    case .tuple1: try push(.tuple, try pop(1))
    case .tuple2: try push(.tuple, try pop(2))
    case .tuple3: try push(.tuple, try pop(3))
    case .tuple: try push(.tuple, try popToMark())
    case .emptyList: try push(.list, [])
    case .list: try push(.list, try popToMark())
    case .append: try append([try pop()], kind: .list)
    case .appends: try append(try popToMark(), kind: .list)
    case .emptyDict: try push(.mapping, [])
    case .dict:
      let items = try popToMark()
      guard items.count.isMultiple(of: 2) else { throw damaged("has a key without a value") }
      try push(.mapping, items)
    case .setItem: try append(try pop(2), kind: .mapping)
    case .setItems: try append(try popToMark(), kind: .mapping)
    case .emptySet: try push(.set, [])
    case .addItems: try append(try popToMark(), kind: .set)
    case .frozenSet: try push(.set, try popToMark())
    default: return false
    }
    return true
  }

  /// Does the instructions of globals, calls and storages; returns false for others.
  private mutating func calls(_ opcode: Opcode) throws(FormatError) -> Bool {
    switch opcode {
    case .global: try pushGlobal("\(try asciiLine()).\(try asciiLine())")
    case .stackGlobal:
      guard case .string(let name) = try pop(), case .string(let module) = try pop() else {
        throw damaged("names a global without text")
      }
      try pushGlobal("\(module).\(name)")
    case .ext1: try pushGlobal("copyreg extension \(try cursor.size(1))")
    case .ext2: try pushGlobal("copyreg extension \(try cursor.size(2))")
    case .ext4: try pushGlobal("copyreg extension \(try cursor.size(4))")
    case .inst:
      try pushGlobal("\(try asciiLine()).\(try asciiLine())")
      let function = try pop()
      try call(function, try popToMark())
    case .obj:
      let values = try popToMark()
      guard let function = values.first else { throw damaged("makes an object without a type") }
      try call(function, Array(values.dropFirst()))
    case .newObjEx:
      _ = try items(try pop(), .mapping)
      fallthrough
    case .reduce, .newObj:
      let arguments = try items(try pop(), .tuple)
      try call(try pop(), arguments)
    case .build: try build(state: try pop())
    case .binPersID: try push(try persistentValue(try pop()))
    default: return false
    }
    return true
  }

  private mutating func checkFraming(_ opcode: Opcode) throws(FormatError) {
    switch opcode {
    case .proto:
      let version = try cursor.byte()
      guard version <= 5 else {
        throw FormatError("the pickle has protocol \(version); expected 0 to 5; re-save it with a current PyTorch")
      }
    case .frame: guard try cursor.size(8) <= cursor.remaining else { throw damaged("has a frame that is cut off") }
    case .persID:
      throw FormatError("the pickle has protocol 0, which cannot hold tensors; re-save it with torch.save's default protocol")
    default: break
    }
  }

  // MARK: Reading operands

  /// Does POP, which removes a mark if a mark is on top.
  private mutating func popOrUnmark() throws(FormatError) {
    do { _ = try pop() } catch { guard try popToMark().isEmpty else { throw error } }
  }

  private mutating func asciiLine() throws(FormatError) -> String {
    let range = try cursor.line()
    guard range.count <= 1 << 16, let line = String(validating: cursor.bytes[range], as: UTF8.self), !line.utf8.contains(0x5C)
    else {
      throw damaged("has a line of text that is too long, not UTF-8 or escaped")
    }
    return line
  }

  private mutating func memoIndex() throws(FormatError) -> Int {
    guard let index = Int(try asciiLine()), index >= 0 else { throw damaged("has a memo index that is not a number") }
    return index
  }

  private mutating func text(_ width: Int) throws(FormatError) -> Value {
    guard let text = String(validating: cursor.bytes[try cursor.take(try cursor.size(width))], as: UTF8.self) else {
      throw damaged("has text that is not UTF-8")
    }
    return .string(text)
  }

  /// Reads a byte string of Python 2: text if it is UTF-8, as state_dict keys are, and bytes otherwise.
  private mutating func legacyText(_ width: Int) throws(FormatError) -> Value {
    let raw = cursor.bytes[try cursor.take(try cursor.size(width))]
    return String(validating: raw, as: UTF8.self).map(Value.string) ?? .bytes(StoredTensor.Storage(bytes: raw))
  }

  private func bytes(_ range: Range<Int>) -> Value { .bytes(StoredTensor.Storage(bytes: cursor.bytes[range])) }

  private func integer(_ range: Range<Int>) -> Value {
    let bytes = cursor.bytes[range]
    guard let last = bytes.last else { return .int(0) }
    let sign: UInt8 = last >= 0x80 ? 0xFF : 0
    // Bytes beyond the eighth may only repeat the sign.
    guard bytes.dropFirst(8).allSatisfy({ $0 == sign }), bytes.count <= 8 || (bytes[range.lowerBound + 7] ^ sign) < 0x80 else {
      return .long(Array(bytes))
    }
    var value: UInt64 = sign == 0 ? 0 : .max
    for byte in bytes.prefix(8).reversed() { value = value << 8 | UInt64(byte) }
    return .int(Int(Int64(bitPattern: value)))
  }

  private mutating func textInteger(isLong: Bool) throws(FormatError) -> Value {
    var line = try asciiLine()
    if !isLong && (line == "00" || line == "01") { return .bool(line == "01") }
    if isLong && line.hasSuffix("L") { line.removeLast() }
    if let value = Int(line) { return .int(value) }
    // The magic number of PyTorch's legacy format has 80 bits.
    var bytes: [UInt8] = []
    guard line.utf8.count <= 40, line.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else {
      throw damaged("has a whole number that cannot be read")
    }
    for digit in line.utf8 {
      var carry = Int(digit) - 0x30
      for index in bytes.indices {
        carry += Int(bytes[index]) * 10
        bytes[index] = UInt8(truncatingIfNeeded: carry)
        carry >>= 8
      }
      if carry > 0 { bytes.append(UInt8(carry)) }
    }
    return .long(bytes)
  }

  private mutating func textFloat() throws(FormatError) -> Double {
    guard let value = Double(try asciiLine()) else { throw damaged("has a decimal number that cannot be read") }
    return value
  }
}
