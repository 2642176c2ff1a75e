/// A zip archive in memory, with stored and deflated entries, zip64 and checksums.
///
/// The reader checks every declaration of a header against the file before it uses it. Source: PKWARE APPNOTE.TXT 6.3.
struct ZipArchive {
  struct Entry {
    let name: String
    let isDeflated: Bool
    /// The range of the entry's data in the archive.
    let data: Range<Int>
    let size: Int
    let checksum: UInt32
  }

  let bytes: [UInt8]
  let entries: [Entry]
  private let indices: [String: Int]

  private static let cutOff =
    "the zip archive has no directory at its end, so it is cut off or not a zip file; copy or download it again"

  init(_ bytes: [UInt8]) throws(FormatError) {
    self.bytes = bytes
    let directory = try Self.findDirectory(bytes)
    var cursor = ByteCursor(bytes, from: directory.range.lowerBound, to: directory.range.upperBound, subject: "the zip directory")
    var entries: [Entry] = []
    var indices: [String: Int] = [:]
    // The directory's length bounds the number of entries, because each takes at least 46 bytes.
    for _ in 0..<directory.count {
      let entry = try Self.readEntry(&cursor, bytes: bytes, dataEnd: directory.range.lowerBound)
      guard indices.updateValue(entries.count, forKey: entry.name) == nil else {
        throw FormatError("the zip archive names \(quoted(entry.name)) twice; save it again")
      }
      entries.append(entry)
    }
    // Entries that share bytes would let a small archive expand into petabytes.
    var end = 0
    for entry in entries.sorted(by: { $0.data.lowerBound < $1.data.lowerBound }) where !entry.data.isEmpty {
      guard entry.data.lowerBound >= end else {
        throw FormatError("entries of the zip archive overlap at \(quoted(entry.name)); save it again")
      }
      end = entry.data.upperBound
    }
    self.entries = entries
    self.indices = indices
  }

  /// Returns the entry with this name, or nil.
  func entry(_ name: String) -> Entry? { indices[name].map { entries[$0] } }

  /// Returns an entry's contents after a check of their checksum. A stored entry is a slice of the archive, not a copy.
  func contents(of entry: Entry) throws(FormatError) -> ArraySlice<UInt8> {
    let raw = bytes[entry.data]
    let contents: ArraySlice<UInt8>
    if entry.isDeflated {
      do {
        contents = try Inflater.deflate(raw, size: entry.size)[...]
      } catch {
        throw FormatError("\(quoted(entry.name)) in the zip archive: \(error.message)")
      }
    } else {
      contents = raw
    }
    guard Inflater.checksum(contents) == entry.checksum else {
      throw FormatError(
        "the checksum of \(quoted(entry.name)) in the zip archive is wrong: the file is damaged; copy or download it again")
    }
    return contents
  }

  /// Finds the range of the central directory and its number of entries, from the record at the end of the file.
  private static func findDirectory(_ bytes: [UInt8]) throws(FormatError) -> (range: Range<Int>, count: Int) {
    let recordSize = 22
    guard bytes.count >= recordSize else { throw FormatError(cutOff) }
    let earliest = max(0, bytes.count - recordSize - 0xFFFF)
    for position in stride(from: bytes.count - recordSize, through: earliest, by: -1) where bytes[position] == 0x50 {
      var cursor = ByteCursor(bytes, from: position, subject: "the zip archive's end record")
      guard try cursor.number(4) == 0x0605_4B50 else { continue }
      let disks = try cursor.number(4)
      _ = try cursor.number(2)
      var count = try cursor.size(2)
      var size = try cursor.size(4)
      var offset = try cursor.size(4)
      guard try cursor.size(2) == cursor.remaining else { continue }
      guard disks == 0 || disks == 0xFFFF_FFFF else {
        throw FormatError("the zip archive is split into several files; join them first")
      }
      var limit = position
      if count == 0xFFFF || size == 0xFFFF_FFFF || offset == 0xFFFF_FFFF {
        var locator = ByteCursor(bytes, from: max(0, position - 20), to: position, subject: "the zip64 locator")
        if try locator.number(4) == 0x0706_4B50 {
          _ = try locator.number(4)
          let start = try locator.size(8)
          guard start <= position - 20 else { throw FormatError(cutOff) }
          var record = ByteCursor(bytes, from: start, to: position - 20, subject: "the zip64 end record")
          guard try record.number(4) == 0x0606_4B50 else { throw FormatError(cutOff) }
          _ = try record.take(28)
          count = try record.size(8)
          size = try record.size(8)
          offset = try record.size(8)
          limit = start
        }
      }
      let (end, overflow) = offset.addingReportingOverflow(size)
      guard !overflow, end <= limit, count <= size / 46 else {
        throw FormatError(
          "the zip archive's directory lies outside the file, so it is cut off or damaged; copy or download it again")
      }
      return (offset..<end, count)
    }
    throw FormatError(cutOff)
  }

  private static func readEntry(_ cursor: inout ByteCursor, bytes: [UInt8], dataEnd: Int) throws(FormatError) -> Entry {
    guard try cursor.number(4) == 0x0201_4B50 else {
      throw FormatError("the zip directory is damaged; copy or download the file again")
    }
    _ = try cursor.number(4)
    let flags = try cursor.number(2)
    let method = try cursor.number(2)
    _ = try cursor.number(4)
    let checksum = UInt32(try cursor.number(4))
    var compressed = try cursor.size(4)
    var size = try cursor.size(4)
    let nameLength = try cursor.size(2)
    let extraLength = try cursor.size(2)
    let commentLength = try cursor.size(2)
    _ = try cursor.number(8)
    var header = try cursor.size(4)
    let nameRange = try cursor.take(nameLength)
    let name = String(decoding: bytes[nameRange], as: UTF8.self)
    let extraRange = try cursor.take(extraLength)
    _ = try cursor.take(commentLength)

    var extra = ByteCursor(bytes, from: extraRange.lowerBound, to: extraRange.upperBound, subject: "the zip directory")
    while extra.remaining >= 4 {
      let identifier = try extra.number(2)
      let field = try extra.take(try extra.size(2))
      guard identifier == 1 else { continue }
      var wide = ByteCursor(bytes, from: field.lowerBound, to: field.upperBound, subject: "a zip64 field")
      if size == 0xFFFF_FFFF { size = try wide.size(8) }
      if compressed == 0xFFFF_FFFF { compressed = try wide.size(8) }
      if header == 0xFFFF_FFFF { header = try wide.size(8) }
    }

    guard flags & 1 == 0 else { throw FormatError("\(quoted(name)) in the zip archive is encrypted; save it without a password") }
    guard method == 0 || method == 8 else {
      throw FormatError(
        "\(quoted(name)) in the zip archive uses compression method \(method); expected stored or deflate; save it again")
    }
    guard header <= dataEnd else {
      throw FormatError("\(quoted(name)) lies outside the zip archive; copy or download the file again")
    }
    var local = ByteCursor(bytes, from: header, to: dataEnd, subject: "\(quoted(name)) in the zip archive")
    guard try local.number(4) == 0x0403_4B50 else {
      throw FormatError("\(quoted(name)) is not where the zip directory says; the file is damaged; copy or download it again")
    }
    _ = try local.take(22)
    let localName = try local.size(2)
    let localExtra = try local.size(2)
    guard localName == nameLength, bytes[try local.take(localName)] == bytes[nameRange] else {
      throw FormatError("the zip archive gives \(quoted(name)) two different names; copy or download the file again")
    }
    _ = try local.take(localExtra)
    let data = try local.take(compressed)
    let possible = compressed.multipliedReportingOverflow(by: Inflater.maximumRatio)
    guard method == 0 ? size == compressed : possible.overflow || size <= possible.partialValue else {
      throw FormatError(
        "\(quoted(name)) in the zip archive declares an impossible size of \(size) bytes; copy or download the file again")
    }
    return Entry(name: name, isDeflated: method == 8, data: data, size: size, checksum: checksum)
  }
}
