/// A zip archive with stored and deflated entries, zip64 and checksums. It reads an entry when a caller asks for it.
///
/// The reader checks every declaration of a header against the file before it uses it. Source: PKWARE APPNOTE.TXT 6.3.
struct ZipArchive: Sendable {
  struct Entry {
    let name: String
    let isDeflated: Bool
    /// The range of the entry's data in the archive.
    let data: Range<Int>
    let size: Int
    /// The CRC-32 of the contents; nil if the header has 0, as PyTorch writes without `compute_crc32`.
    let checksum: UInt32?
  }

  let source: FileSource
  let entries: [Entry]
  private let indices: [String: Int]

  private static let cutOff =
    "the zip archive has no directory at its end, so it is cut off or not a zip file; copy or download it again"

  init(_ source: FileSource) throws(FormatError) {
    self.source = source
    let directory = try Self.findDirectory(source)
    var cursor = ByteCursor(try source.read(directory.range), subject: "the zip directory")
    var entries: [Entry] = []
    var indices: [String: Int] = [:]
    // The directory's length bounds the number of entries, because each takes at least 46 bytes.
    for _ in 0..<directory.count {
      let entry = try Self.readEntry(&cursor, source, dataEnd: directory.range.lowerBound)
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

  /// Returns an entry's contents after a check of their checksum.
  func contents(of entry: Entry) throws(FormatError) -> [UInt8] {
    var contents = try source.read(entry.data)
    if entry.isDeflated {
      do {
        contents = try Inflater.deflate(contents[...], size: entry.size)
      } catch {
        throw FormatError("\(quoted(entry.name)) in the zip archive: \(error.message)")
      }
    }
    guard entry.checksum.map({ $0 == Inflater.checksum(contents[...]) }) ?? true else {
      throw Self.wrongChecksum(quoted(entry.name))
    }
    return contents
  }

  /// Returns an entry's contents as a storage, which reads them when a tensor is made of it.
  func storage(of entry: Entry) -> StoredTensor.Storage {
    entry.isDeflated
      ? StoredTensor.Storage(.deflated(self, entry), count: entry.size)
      : StoredTensor.Storage(.file(source, entry.data, checksum: entry.checksum), count: entry.size)
  }

  static func wrongChecksum(_ subject: String) -> FormatError {
    FormatError("the checksum of \(subject) in the zip archive is wrong: the file is damaged; copy or download it again")
  }

  /// Finds the range of the central directory and its number of entries, from the record at the end of the file.
  ///
  /// Other bytes may follow the record, as some tools and downloads add them.
  private static func findDirectory(_ source: FileSource) throws(FormatError) -> (range: Range<Int>, count: Int) {
    let recordSize = 22
    guard source.count >= recordSize else { throw FormatError(cutOff) }
    // The locator of zip64 lies in front of the record.
    let base = max(0, source.count - recordSize - 0xFFFF - 20)
    let tail = try source.read(base..<source.count)
    for position in stride(from: tail.count - recordSize, through: 0, by: -1) where tail[position] == 0x50 {
      var cursor = ByteCursor(tail, from: position, subject: "the zip archive's end record")
      guard try cursor.number(4) == 0x0605_4B50 else { continue }
      let disks = try cursor.number(4)
      _ = try cursor.number(2)
      var count = try cursor.size(2)
      var size = try cursor.size(4)
      var offset = try cursor.size(4)
      guard try cursor.size(2) <= cursor.remaining else { continue }
      guard disks == 0 || disks == 0xFFFF_FFFF else {
        throw FormatError("the zip archive is split into several files; join them first")
      }
      var limit = base + position
      if count == 0xFFFF || size == 0xFFFF_FFFF || offset == 0xFFFF_FFFF {
        var locator = ByteCursor(tail, from: max(0, position - 20), to: position, subject: "the zip64 locator")
        if try locator.number(4) == 0x0706_4B50 {
          _ = try locator.number(4)
          let start = try locator.size(8)
          limit -= 20
          guard start <= limit - 56 else { throw FormatError(cutOff) }
          var record = ByteCursor(try source.read(start..<start + 56), subject: "the zip64 end record")
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

  private static func readEntry(
    _ cursor: inout ByteCursor, _ source: FileSource, dataEnd: Int
  ) throws(FormatError) -> Entry {
    let entry = try DirectoryEntry(&cursor)
    let data = try entry.data(in: source, end: dataEnd)
    let possible = entry.compressed.multipliedReportingOverflow(by: Inflater.maximumRatio)
    guard entry.isDeflated ? possible.overflow || entry.size <= possible.partialValue : entry.size == entry.compressed else {
      throw FormatError(
        "\(quoted(entry.name)) in the zip archive declares an impossible size of \(entry.size) bytes; copy or download the "
          + "file again")
    }
    return Entry(
      name: entry.name, isDeflated: entry.isDeflated, data: data, size: entry.size,
      checksum: entry.checksum == 0 ? nil : entry.checksum)
  }
}

/// An entry of the zip directory, which says where its data begin and how long they are.
private struct DirectoryEntry {
  let name: String
  let isDeflated: Bool
  let checksum: UInt32
  private(set) var compressed: Int
  private(set) var size: Int
  /// The position of the local header.
  private var header: Int
  private let nameBytes: ArraySlice<UInt8>

  init(_ cursor: inout ByteCursor) throws(FormatError) {
    guard try cursor.number(4) == 0x0201_4B50 else {
      throw FormatError("the zip directory is damaged; copy or download the file again")
    }
    _ = try cursor.number(4)
    let flags = try cursor.number(2)
    let method = try cursor.number(2)
    _ = try cursor.number(4)
    checksum = UInt32(try cursor.number(4))
    compressed = try cursor.size(4)
    size = try cursor.size(4)
    let nameLength = try cursor.size(2)
    let extraLength = try cursor.size(2)
    let commentLength = try cursor.size(2)
    _ = try cursor.number(8)
    header = try cursor.size(4)
    nameBytes = cursor.bytes[try cursor.take(nameLength)]
    name = String(decoding: nameBytes, as: UTF8.self)
    isDeflated = method == 8
    let extra = try cursor.take(extraLength)
    _ = try cursor.take(commentLength)
    try widen(cursor.bytes, extra)
    guard flags & 1 == 0 else { throw FormatError("\(quoted(name)) in the zip archive is encrypted; save it without a password") }
    guard method == 0 || method == 8 else {
      throw FormatError(
        "\(quoted(name)) in the zip archive uses compression method \(method); expected stored or deflate; save it again")
    }
  }

  /// Takes the numbers that do not fit in 32 bits from the zip64 field.
  private mutating func widen(_ bytes: [UInt8], _ place: Range<Int>) throws(FormatError) {
    var extra = ByteCursor(bytes, from: place.lowerBound, to: place.upperBound, subject: "the zip directory")
    while extra.remaining >= 4 {
      let identifier = try extra.number(2)
      let field = try extra.take(try extra.size(2))
      guard identifier == 1 else { continue }
      var wide = ByteCursor(bytes, from: field.lowerBound, to: field.upperBound, subject: "a zip64 field")
      if size == 0xFFFF_FFFF { size = try wide.size(8) }
      if compressed == 0xFFFF_FFFF { compressed = try wide.size(8) }
      if header == 0xFFFF_FFFF { header = try wide.size(8) }
    }
  }

  /// Returns the place of the data, which begin after the local header; `end` is where the directory begins.
  func data(in source: FileSource, end: Int) throws(FormatError) -> Range<Int> {
    guard header <= end else {
      throw FormatError("\(quoted(name)) lies outside the zip archive; copy or download the file again")
    }
    let local = try source.read(header..<min(header + 30 + nameBytes.count, end))
    var fields = ByteCursor(local, subject: "\(quoted(name)) in the zip archive")
    guard try fields.number(4) == 0x0403_4B50 else {
      throw FormatError("\(quoted(name)) is not where the zip directory says; the file is damaged; copy or download it again")
    }
    _ = try fields.take(22)
    let localName = try fields.size(2)
    let localExtra = try fields.size(2)
    guard localName == nameBytes.count, local[try fields.take(localName)] == nameBytes else {
      throw FormatError("the zip archive gives \(quoted(name)) two different names; copy or download the file again")
    }
    let start = header + local.count + localExtra
    guard compressed <= end - start else {
      throw FormatError("\(quoted(name)) in the zip archive is cut off; copy or download the file again")
    }
    return start..<start + compressed
  }
}
