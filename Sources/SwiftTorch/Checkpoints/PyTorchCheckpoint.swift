/// A file of `torch.save`. The reader runs no code from the file.
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
  /// - Throws: `TorchError` that names `path` if the file is cut off, damaged, not a checkpoint or big-endian, or has an
  ///   unsupported dtype. It also throws if the pickle asks for a name that is not part of a state_dict; the message has that name.
  public static func read(_ path: String) throws(TorchError) -> PyTorchCheckpoint {
    try decode(try FileContents.read(path, expecting: "a PyTorch checkpoint"))
  }

  /// Reads a checkpoint from a file's contents.
  public static func decode(_ file: FileContents) throws(TorchError) -> PyTorchCheckpoint {
    let root = try naming(file.name) { () throws(FormatError) -> CheckpointValue in
      switch file.kind {
      case .pytorchLegacy: return try legacy(file.bytes)
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
    let contents = try archive.contents(of: pickle)
    // The machine reads a stored pickle in place, without a copy.
    let place = pickle.data
    var machine =
      pickle.isDeflated ? Unpickler(Array(contents)) : Unpickler(archive.bytes, from: place.lowerBound, to: place.upperBound)
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
      storages.append(StoredTensor.Storage(bytes: try archive.contents(of: entry)))
    }
    return try machine.tree(root, storages: storages)
  }

  // MARK: The legacy format

  /// The first pickle of a legacy file: 0x1950A86A20F9469CFC6C, little-endian.
  static let legacyMagic: [UInt8] = [0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]

  /// Reads five pickles (magic number, protocol 1001, system, object, storage keys), then the length and elements of each storage.
  private static func legacy(_ bytes: [UInt8]) throws(FormatError) -> CheckpointValue {
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
    if case .bool(false)? = try system.machine.tree(system.value, storages: [])["little_endian"] {
      throw FormatError("was saved on a big-endian machine; expected little-endian; save it again on a little-endian machine")
    }
    let (machine, root) = try next()
    let keyList = try next()
    guard case .list(let keys) = try keyList.machine.tree(keyList.value, storages: []) else {
      throw FormatError("lacks its list of storages; copy or download it again")
    }

    var declared: [String: (count: Int, dtype: DType)] = [:]
    for record in machine.storages { declared[record.key] = (record.count, record.dtype) }
    var cursor = ByteCursor(bytes, from: position, subject: "a storage")
    var contents: [String: ArraySlice<UInt8>] = [:]
    for key in keys {
      guard case .string(let name) = key, let (count, dtype) = declared[name], contents[name] == nil else {
        throw FormatError("lists a storage that no tensor uses, or lists one twice; copy or download it again")
      }
      guard try cursor.size(8) == count else {
        throw FormatError("gives storage \(quoted(name)) two different sizes; copy or download it again")
      }
      let size = count.multipliedReportingOverflow(by: dtype.size)
      guard !size.overflow else {
        throw FormatError("declares an impossible size for storage \(quoted(name)); copy or download it again")
      }
      contents[name] = bytes[try cursor.take(size.partialValue)]
    }
    var storages: [StoredTensor.Storage] = []
    for record in machine.storages {
      guard let whole = contents[record.key] else {
        throw FormatError("lacks the storage \(quoted(record.key)) that a tensor needs; copy or download it again")
      }
      guard let view = record.view else {
        storages.append(StoredTensor.Storage(bytes: whole))
        continue
      }
      let width = record.dtype.size
      guard view.upperBound <= whole.count / width else {
        throw FormatError("has a view past storage \(quoted(record.key)); copy or download it again")
      }
      let start = whole.startIndex
      storages.append(StoredTensor.Storage(bytes: whole[start + view.lowerBound * width..<start + view.upperBound * width]))
    }
    return try machine.tree(root, storages: storages)
  }
}
