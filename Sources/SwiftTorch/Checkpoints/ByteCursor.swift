/// The fault that a parser found, without the file's name. `naming(_:_:)` puts the name in front.
package struct FormatError: Error, Equatable {
  package let message: String

  package init(_ message: String) { self.message = message }
}

/// Runs a parser and puts the file's name in front of its error message.
package func naming<R>(_ path: String, _ body: () throws(FormatError) -> R) throws(TorchError) -> R {
  do { return try body() } catch { throw TorchError(.value, "\(path): \(error.message)") }
}

/// Returns text from a file in quotation marks, fit for a one-line message.
///
/// Question marks replace control characters, and an ellipsis replaces the text after 120 characters.
package func quoted(_ text: String) -> String {
  var result = "'"
  for (count, scalar) in text.unicodeScalars.enumerated() {
    if count == 120 { return result + "…'" }
    result.unicodeScalars.append(scalar.value < 32 || scalar.value == 127 ? "?" : scalar)
  }
  return result + "'"
}

/// Returns the product of a shape's sizes, or nil if a size is negative or the product does not fit an `Int`.
package func elementCount(_ shape: [Int]) -> Int? {
  var product = 1
  var isZero = false
  for size in shape {
    guard size >= 0 else { return nil }
    if size == 0 {
      isZero = true
      continue
    }
    let (value, overflow) = product.multipliedReportingOverflow(by: size)
    guard !overflow else { return nil }
    product = value
  }
  return isZero ? 0 : product
}

/// A little-endian reader of a part of a file. It checks every bound.
struct ByteCursor {
  let bytes: [UInt8]
  private(set) var position: Int
  let end: Int
  /// The name of this part in error messages.
  let subject: String

  init(_ bytes: [UInt8], from start: Int = 0, to end: Int? = nil, subject: String) {
    self.bytes = bytes
    self.position = start
    self.end = end ?? bytes.count
    self.subject = subject
  }

  var remaining: Int { end - position }

  /// Steps over `count` bytes and returns their range.
  mutating func take(_ count: Int) throws(FormatError) -> Range<Int> {
    guard count >= 0, count <= remaining else { throw FormatError("\(subject) is cut off; copy or download the file again") }
    let start = position
    position += count
    return start..<position
  }

  /// Reads one byte.
  mutating func byte() throws(FormatError) -> UInt8 {
    guard position < end else { throw FormatError("\(subject) is cut off; copy or download the file again") }
    defer { position += 1 }
    return bytes[position]
  }

  /// Reads an unsigned little-endian number of `width` bytes, at most 8.
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

  /// Reads a length or an offset of `width` bytes. A number too large for `Int` fits no file, so it is an error.
  mutating func size(_ width: Int) throws(FormatError) -> Int {
    guard let value = Int(exactly: try number(width)) else {
      throw FormatError("\(subject) declares an impossible size; copy or download the file again")
    }
    return value
  }

  /// Returns the range of the bytes before the next newline, and steps over the newline.
  mutating func line() throws(FormatError) -> Range<Int> {
    guard let newline = bytes[position..<end].firstIndex(of: 0x0A) else {
      throw FormatError("\(subject) is cut off; copy or download the file again")
    }
    defer { position = newline + 1 }
    return position..<newline
  }
}
