/// A strict reader, without recursion, of the JSON in checkpoint headers: objects, arrays of whole numbers, strings.
///
/// It makes no tree. The caller says which value must come next, so the work is bounded by the header's length.
struct JSONScanner {
  private let bytes: [UInt8]
  private(set) var position: Int
  private let end: Int

  init(_ bytes: [UInt8], in range: Range<Int>) {
    self.bytes = bytes
    position = range.lowerBound
    end = range.upperBound
  }

  /// Returns true if only white space is left.
  mutating func isAtEnd() -> Bool {
    skipSpace()
    return position == end
  }

  /// Steps over `character` and returns true, if it comes next.
  mutating func takes(_ character: UInt8) -> Bool {
    skipSpace()
    guard position < end, bytes[position] == character else { return false }
    position += 1
    return true
  }

  mutating func expect(_ character: UInt8) throws(FormatError) {
    guard takes(character) else { throw failure("'\(Unicode.Scalar(character))'") }
  }

  /// Reads `{"key": value, …}`. It calls `member` with each key when the value comes next.
  mutating func object(_ member: (inout JSONScanner, String) throws(FormatError) -> Void) throws(FormatError) {
    try expect(UInt8(ascii: "{"))
    if takes(UInt8(ascii: "}")) { return }
    repeat {
      let key = try string()
      try expect(UInt8(ascii: ":"))
      try member(&self, key)
    } while takes(UInt8(ascii: ","))
    try expect(UInt8(ascii: "}"))
  }

  /// Reads an array of at most `limit` whole numbers.
  mutating func integers(limit: Int) throws(FormatError) -> [Int] {
    var result: [Int] = []
    try expect(UInt8(ascii: "["))
    if takes(UInt8(ascii: "]")) { return result }
    repeat {
      guard result.count < limit else {
        throw FormatError("a list in the header has more than \(limit) numbers; copy or download the file again")
      }
      result.append(try integer())
    } while takes(UInt8(ascii: ","))
    try expect(UInt8(ascii: "]"))
    return result
  }

  /// Reads a whole number that is not negative.
  mutating func integer() throws(FormatError) -> Int {
    skipSpace()
    let start = position
    var value = 0
    while position < end, case let digit = bytes[position] &- 0x30, digit < 10 {
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, overflowed) = product.addingReportingOverflow(Int(digit))
      guard !overflow, !overflowed else {
        throw FormatError("a number in the header is too large; copy or download the file again")
      }
      value = sum
      position += 1
    }
    let length = position - start
    guard length > 0, length == 1 || bytes[start] != 0x30 else { throw failure("a whole number") }
    return value
  }

  mutating func string() throws(FormatError) -> String {
    try expect(UInt8(ascii: "\""))
    let start = position
    while position < end, bytes[position] != UInt8(ascii: "\""), bytes[position] != UInt8(ascii: "\\"), bytes[position] >= 0x20 {
      position += 1
    }
    if position < end, bytes[position] == UInt8(ascii: "\"") {
      defer { position += 1 }
      return try text(bytes[start..<position])
    }
    var raw = Array(bytes[start..<position])
    while position < end, case let byte = bytes[position], byte != UInt8(ascii: "\"") {
      guard byte >= 0x20 else { throw failure("a string without control characters") }
      position += 1
      if byte != UInt8(ascii: "\\") { raw.append(byte) } else { try escape(into: &raw) }
    }
    try expect(UInt8(ascii: "\""))
    return try text(raw[...])
  }

  private mutating func escape(into raw: inout [UInt8]) throws(FormatError) {
    guard position < end else { throw failure("the rest of a string") }
    let code = bytes[position]
    position += 1
    switch code {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): raw.append(code)
    case UInt8(ascii: "b"): raw.append(0x08)
    case UInt8(ascii: "f"): raw.append(0x0C)
    case UInt8(ascii: "n"): raw.append(0x0A)
    case UInt8(ascii: "r"): raw.append(0x0D)
    case UInt8(ascii: "t"): raw.append(0x09)
    case UInt8(ascii: "u"):
      var value = try hexadecimal()
      if 0xD800..<0xDC00 ~= value {
        guard end - position >= 6, bytes[position] == UInt8(ascii: "\\"), bytes[position + 1] == UInt8(ascii: "u") else {
          throw failure("the second half of an escaped character")
        }
        position += 2
        let low = try hexadecimal()
        guard 0xDC00..<0xE000 ~= low else { throw failure("the second half of an escaped character") }
        value = 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(value) else { throw failure("an escaped character") }
      raw.append(contentsOf: UTF8.encode(scalar)!)
    default: throw failure("an escaped character")
    }
  }

  private mutating func hexadecimal() throws(FormatError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard position < end, let digit = Character(Unicode.Scalar(bytes[position])).hexDigitValue, bytes[position] < 0x80 else {
        throw failure("four hexadecimal digits")
      }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }

  private func text(_ raw: ArraySlice<UInt8>) throws(FormatError) -> String {
    guard let text = String(validating: raw, as: UTF8.self) else { throw failure("text in UTF-8") }
    return text
  }

  private mutating func skipSpace() {
    while position < end, case let byte = bytes[position], byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
      position += 1
    }
  }

  private func failure(_ expected: String) -> FormatError {
    FormatError("the JSON header is wrong at byte \(position); expected \(expected); copy or download the file again")
  }

  /// Returns `text` as a JSON string with its quotation marks.
  static func quote(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
