/// What a parser found wrong, before the file's name is put in front of it.
package struct FormatError: Error, Equatable {
  package let message: String

  package init(_ message: String) {
    self.message = message
  }
}

/// Runs a parser and names the file in what it throws.
package func naming<R>(_ path: String, _ body: () throws(FormatError) -> R) throws(TorchError) -> R {
  do {
    return try body()
  } catch {
    throw TorchError(.value, "\(path): \(error.message)")
  }
}

/// Text from a file made fit for a one-line message: control characters replaced, length bounded.
package func quoted(_ text: String) -> String {
  var result = "'"
  for (count, scalar) in text.unicodeScalars.enumerated() {
    if count == 120 { return result + "…'" }
    result.unicodeScalars.append(scalar.value < 32 || scalar.value == 127 ? "?" : scalar)
  }
  return result + "'"
}

/// The product of a shape's sizes, or nil where one is negative or the product does not fit an `Int`.
package func elementCount(_ shape: [Int]) -> Int? {
  var product = 1
  var isZero = false
  for size in shape {
    guard size >= 0 else { return nil }
    if size == 0 { isZero = true; continue }
    let (value, overflow) = product.multipliedReportingOverflow(by: size)
    guard !overflow else { return nil }
    product = value
  }
  return isZero ? 0 : product
}

/// A bounds-checked, little-endian reader over part of a file.
struct ByteCursor {
  let bytes: [UInt8]
  private(set) var position: Int
  let end: Int
  /// What is being read, for the message when it ends too early.
  let subject: String

  init(_ bytes: [UInt8], from start: Int = 0, to end: Int? = nil, subject: String) {
    self.bytes = bytes
    self.position = start
    self.end = end ?? bytes.count
    self.subject = subject
  }

  var remaining: Int { end - position }

  /// Steps over `count` bytes and answers where they are.
  mutating func take(_ count: Int) throws(FormatError) -> Range<Int> {
    guard count >= 0, count <= remaining else { throw FormatError("\(subject) is cut off; copy or download the file again") }
    let start = position
    position += count
    return start..<position
  }

  mutating func byte() throws(FormatError) -> UInt8 {
    guard position < end else { throw FormatError("\(subject) is cut off; copy or download the file again") }
    defer { position += 1 }
    return bytes[position]
  }

  /// An unsigned little-endian number of `width` bytes, at most 8.
  mutating func number(_ width: Int) throws(FormatError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    let range = try take(width)
    for index in range {
      value |= UInt64(bytes[index]) << shift
      shift += 8
    }
    return value
  }

  /// A length or offset of `width` bytes; one too large for `Int` cannot lie within any file.
  mutating func size(_ width: Int) throws(FormatError) -> Int {
    guard let value = Int(exactly: try number(width)) else { throw FormatError("\(subject) declares an impossible size") }
    return value
  }

  /// The bytes before the next newline, which is stepped over.
  mutating func line() throws(FormatError) -> Range<Int> {
    guard let newline = bytes[position..<end].firstIndex(of: 0x0A) else {
      throw FormatError("\(subject) is cut off; copy or download the file again")
    }
    defer { position = newline + 1 }
    return position..<newline
  }
}
