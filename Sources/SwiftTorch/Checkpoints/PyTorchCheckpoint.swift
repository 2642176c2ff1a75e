/// A file of `torch.save`.
///
/// The reader runs no code from the file. A value stays opaque if it is no tensor, number, text or container.
///
/// The reader knows both formats: the zip archive of PyTorch 1.6 and later, and the older sequence of pickles
/// (`_use_new_zipfile_serialization=False`).
public struct PyTorchCheckpoint: Sendable {
  /// The path that the caller gave.
  public let path: String
  /// The whole saved value.
  public let root: CheckpointValue

  /// Reads a file of either format.
  ///
  /// The tensors' elements stay in the file until they are needed.
  ///
  /// - Throws: `TorchError` that names `path` if the file is cut off, damaged, not a checkpoint or big-endian.
  public static func read(_ path: String) throws(TorchError) -> PyTorchCheckpoint {
    try decode(try FileContents.read(path, expecting: "a PyTorch checkpoint"))
  }

  /// Reads a checkpoint from a file's contents.
  public static func decode(_ file: FileContents) throws(TorchError) -> PyTorchCheckpoint {
    let root = try naming(file.name) { () throws(FormatError) -> CheckpointValue in
      switch file.kind {
      case .pytorchLegacy: return try legacy(file.source)
      case .pytorchZip: return try zip(file.archive())
      case .torchScript:
        throw FormatError("is a TorchScript archive; expected a state_dict; load it as a script, or save model.state_dict()")
      case let kind:
        throw FormatError(
          "is \(kind.description); expected a PyTorch checkpoint; save one with torch.save(model.state_dict(), path)")
      }
    }
    return PyTorchCheckpoint(path: file.name, root: root)
  }

  // MARK: The zip format

  /// Reads `<root>/data.pkl`, `<root>/data/<key>` for each storage, and `<root>/byteorder` in files of PyTorch 2.1 and later.
  private static func zip(_ archive: ZipArchive) throws(FormatError) -> CheckpointValue {
    let pickles = archive.entries.filter { $0.name == "data.pkl" || $0.name.hasSuffix("/data.pkl") }
    guard pickles.count == 1, let pickle = pickles.first else {
      throw FormatError("has \(pickles.count) entries named data.pkl; expected one; save it again with torch.save")
    }
    let folder = String(pickle.name.dropLast("data.pkl".count))
    if let order = archive.entry("\(folder)byteorder") {
      let text = String(decoding: try archive.contents(of: order).prefix(16), as: UTF8.self)
      guard text == "little" else {
        throw FormatError("has byte order \(quoted(text)); expected little; save it again on a little-endian machine")
      }
    }
    var machine = Unpickler(try archive.contents(of: pickle))
    let root = try machine.run()
    var storages: [StoredTensor.Storage] = []
    for record in machine.storages {
      guard record.view == nil else { throw FormatError("has a storage view, which zip checkpoints cannot have; save it again") }
      guard let entry = archive.entry("\(folder)data/\(record.key)") else {
        throw FormatError("lacks the storage \(quoted(record.key)) that a tensor needs; copy or download it again")
      }
      let size = record.count.multipliedReportingOverflow(by: record.dtype.size)
      guard !size.overflow, size.partialValue == entry.size else {
        throw FormatError(
          "storage \(quoted(record.key)) has \(entry.size) bytes where \(record.count) elements of \(record.dtype) are declared; "
            + "copy or download it again"
        )
      }
      storages.append(archive.storage(of: entry))
    }
    return try machine.value(root, storages: storages)
  }

  // MARK: The legacy format

  /// The first pickle of a legacy file: 0x1950A86A20F9469CFC6C, little-endian.
  static let legacyMagic: [UInt8] = [0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]

  /// Reads five pickles (magic number, protocol 1001, system, object, storage keys), then the length and elements of each storage.
  private static func legacy(_ file: FileSource) throws(FormatError) -> CheckpointValue {
    // The file does not say how long the pickles are. The reader takes more of the file until they end.
    var length = min(file.count, 1 << 20)
    while length < file.count {
      let start = try file.read(0..<length)
      if let value = try? legacy(start, of: file) { return value }
      length = min(file.count, 4 * length)
    }
    return try legacy(file.read(), of: file)
  }

  private static func legacy(_ bytes: [UInt8], of file: FileSource) throws(FormatError) -> CheckpointValue {
    var position = 0
    func next() throws(FormatError) -> (machine: Unpickler, value: Unpickler.Value) {
      var machine = Unpickler(bytes, from: position)
      let value = try machine.run()
      position = machine.cursor.position
      return (machine, value)
    }
    guard case .long(legacyMagic) = try next().value else {
      throw FormatError("does not begin as torch.save's files do; check the path")
    }
    guard case .int(1001) = try next().value else {
      throw FormatError("has an unknown protocol version; expected 1001; save it again with a current PyTorch")
    }
    let system = try next()
    if case .bool(false)? = try system.machine.value(system.value, storages: [])["little_endian"]?.value {
      throw FormatError("was saved on a big-endian machine; expected little-endian; save it again on a little-endian machine")
    }
    let (machine, root) = try next()
    let (keyMachine, keyList) = try next()
    guard let keys = try? keyMachine.items(keyList, .list) else {
      throw FormatError("lacks its list of storages; copy or download it again")
    }

    let places = try places(of: keys, machine.storages, from: position, in: file)
    let storages = try machine.storages.map { (record) throws(FormatError) in try storage(record, places, file) }
    return try machine.value(root, storages: storages)
  }

  /// Returns where the elements of each storage lie. The storages follow the pickles, each after its number of elements.
  private static func places(
    of keys: [Unpickler.Value], _ records: [Unpickler.StorageRecord], from start: Int, in file: FileSource
  ) throws(FormatError) -> [String: Range<Int>] {
    var declared: [String: (count: Int, dtype: DType)] = [:]
    for record in records { declared[record.key] = (record.count, record.dtype) }
    var (places, position): ([String: Range<Int>], Int) = ([:], start)
    for key in keys {
      guard case .string(let name) = key, let (count, dtype) = declared[name], places[name] == nil else {
        throw FormatError("lists a storage that no tensor uses, or lists one twice; copy or download it again")
      }
      guard file.count - position >= 8 else { throw FormatError("a storage is cut off; copy or download the file again") }
      var cursor = ByteCursor(try file.read(position..<position + 8), subject: "a storage")
      guard try cursor.size(8) == count else {
        throw FormatError("gives storage \(quoted(name)) two different sizes; copy or download it again")
      }
      position += 8
      let size = count.multipliedReportingOverflow(by: dtype.size)
      guard !size.overflow, size.partialValue <= file.count - position else {
        throw FormatError("storage \(quoted(name)) is cut off; copy or download the file again")
      }
      places[name] = position..<position + size.partialValue
      position += size.partialValue
    }
    return places
  }

  /// Returns the storage of a record, or the part of it that the record views.
  private static func storage(
    _ record: Unpickler.StorageRecord, _ places: [String: Range<Int>], _ file: FileSource
  ) throws(FormatError) -> StoredTensor.Storage {
    guard var place = places[record.key] else {
      throw FormatError("lacks the storage \(quoted(record.key)) that a tensor needs; copy or download it again")
    }
    if let view = record.view {
      let width = record.dtype.size
      guard view.upperBound <= place.count / width else {
        throw FormatError("has a view past storage \(quoted(record.key)); copy or download it again")
      }
      place = place.lowerBound + view.lowerBound * width..<place.lowerBound + view.upperBound * width
    }
    return StoredTensor.Storage(.file(file, place, checksum: nil), count: place.count)
  }
}
