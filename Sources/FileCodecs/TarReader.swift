package import SwiftTorch

/// Reads the files of a tar archive that gzip compressed, one after another: POSIX's `ustar` and `pax`, and GNU's tar.
package struct TarReader {
  package struct Entry: Equatable {
    package enum Kind: Equatable { case file, folder, link, other }
    /// The name in the archive, without any check or change.
    package var name: String
    package var kind: Kind
    /// The size of a file in bytes.
    package var size: Int
  }

  private static let block = 512
  /// The longest extended header in bytes, such as a long name. No real archive has a longer one.
  private static let longestExtension = 1 << 20

  private let stream: GzipStream
  /// The unread bytes of the current entry. `padding` counts the zeros after it.
  private var unread = 0
  private var padding = 0

  package init(_ stream: GzipStream) { self.stream = stream }

  /// Skips the rest of the current entry and returns the next one, or nil at the end.
  package mutating func next() throws(FormatError) -> Entry? {
    try skip(unread + padding)
    unread = 0
    padding = 0
    var longName: String?
    var longSize: Int?
    while true {
      let header = try stream.read(Self.block)
      // Two empty blocks end an archive. Some programs omit them.
      if header.allSatisfy({ $0 == 0 }) { return nil }
      guard header.count == Self.block else { throw FormatError(Self.cutOff) }
      try Self.check(header)
      let size = try Self.number(header[124..<136])
      switch header[156] {
      case UInt8(ascii: "L"): longName = Self.text(try payload(size)[...])
      case UInt8(ascii: "x"):
        let fields = try Self.fields(payload(size))
        longName = fields["path"] ?? longName
        if let text = fields["size"] {
          guard let value = Int(text), value >= 0 else { throw FormatError(Self.impossibleSize) }
          longSize = value
        }
      case UInt8(ascii: "K"), UInt8(ascii: "g"): _ = try payload(size)
      case let type:
        let kind: Entry.Kind =
          switch type {
          case UInt8(ascii: "0"), 0, UInt8(ascii: "7"): .file
          case UInt8(ascii: "5"): .folder
          case UInt8(ascii: "1"), UInt8(ascii: "2"): .link
          default: .other
          }
        let count = kind == .file || kind == .other ? longSize ?? size : 0
        unread = count
        padding = Self.padding(of: count)
        return Entry(name: longName ?? Self.name(header), kind: kind, size: count)
      }
    }
  }

  /// Returns the next `count` bytes of the current entry, and fewer only at its end.
  package mutating func read(_ count: Int) throws(FormatError) -> [UInt8] {
    let wanted = min(count, unread)
    let bytes = try stream.read(wanted)
    guard bytes.count == wanted else { throw FormatError(Self.cutOff) }
    unread -= wanted
    return bytes
  }

  private static let cutOff = "the tar archive is cut off; copy or download it again"
  private static let impossibleSize = "the tar archive declares an impossible size; copy or download it again"

  private static func padding(of count: Int) -> Int { (block - count % block) % block }

  private func skip(_ count: Int) throws(FormatError) {
    var left = count
    while left > 0 {
      let got = try stream.read(min(left, 1 << 18)).count
      guard got > 0 else { throw FormatError(Self.cutOff) }
      left -= got
    }
  }

  /// Reads the contents of an extended header.
  private func payload(_ size: Int) throws(FormatError) -> [UInt8] {
    guard size <= Self.longestExtension else {
      throw FormatError(
        "the tar archive has a header of \(size) bytes; expected at most \(Self.longestExtension); copy or download it again")
    }
    let bytes = try stream.read(size)
    guard bytes.count == size else { throw FormatError(Self.cutOff) }
    try skip(Self.padding(of: size))
    return bytes
  }

  /// Checks the sum of a header's bytes. The checksum's own field counts as spaces.
  private static func check(_ header: [UInt8]) throws(FormatError) {
    let sum = header.enumerated().reduce(0) { $0 + ((148..<156).contains($1.offset) ? 32 : Int($1.element)) }
    guard (try? number(header[148..<156])) == sum else {
      throw FormatError("is not a tar archive, or is a damaged one: a header's checksum is wrong; copy or download it again")
    }
  }

  /// Reads a number: octal digits, or big-endian binary with the first bit set for large numbers.
  private static func number(_ field: ArraySlice<UInt8>) throws(FormatError) -> Int {
    var value = 0
    if let first = field.first, first & 0x80 != 0 {
      for byte in [first & 0x7F] + field.dropFirst() {
        guard value < 1 << 48 else { throw FormatError(impossibleSize) }
        value = value << 8 | Int(byte)
      }
      return value
    }
    for byte in field.drop(while: { $0 == 32 }) {
      if byte == 0 || byte == 32 { break }
      guard (48...55).contains(byte) else { throw FormatError("the tar archive has a damaged number; copy or download it again") }
      value = value << 3 | Int(byte - 48)
    }
    return value
  }

  private static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }

  private static func name(_ header: [UInt8]) -> String {
    let name = text(header[0..<100])
    let prefix = header[257..<262].elementsEqual("ustar".utf8) ? text(header[345..<500]) : ""
    return prefix.isEmpty ? name : "\(prefix)/\(name)"
  }

  /// Reads a sequence of fields "LENGTH KEY=VALUE\n".
  private static func fields(_ bytes: [UInt8]) -> [String: String] {
    var fields: [String: String] = [:]
    var rest = bytes[...]
    while let space = rest.firstIndex(of: 32), let length = Int(String(decoding: rest[..<space], as: UTF8.self)),
      length > space - rest.startIndex + 1, length <= rest.count
    {
      let record = rest[space + 1..<rest.startIndex + length - 1]
      if let equals = record.firstIndex(of: UInt8(ascii: "=")) {
        fields[String(decoding: record[..<equals], as: UTF8.self)] = String(decoding: record[(equals + 1)...], as: UTF8.self)
      }
      rest = rest[(rest.startIndex + length)...]
    }
    return fields
  }
}
