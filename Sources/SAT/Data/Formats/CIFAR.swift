internal import FileCodecs
internal import Foundation
internal import SwiftTorch

/// The reader of CIFAR-10's and CIFAR-100's files: the binary version, and the Python version, whose files are pickles.
///
/// A binary record has one label byte (CIFAR-100: coarse, then fine) and 3,072 bytes of red, green and blue planes. A pickle has
/// the rows of 3,072 bytes under `data`, and `labels` or `fine_labels`.
/// Source: A. Krizhevsky, "The CIFAR-10 dataset", sections "Binary version" and "Python version".
struct CIFAR: ImageParts {
  /// 10 or 100.
  let classes: Int
  let folder: String
  /// The name of the data set; nil for the usual one.
  var title: String?

  static let validationCount = 5000
  /// The reader unpacks no longer file. The largest is CIFAR-100's training file of the Python version.
  static let largestBatch = 160_000_000
  private static let names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]

  var name: String { "cifar\(classes)" }
  /// The names of the files; the binary version adds `.bin`.
  private var trainingStems: [String] { classes == 10 ? (1...5).map { "data_batch_\($0)" } : ["train"] }
  private var testStem: String { classes == 10 ? "test_batch" : "test" }
  /// The files of the binary version.
  var binaryFiles: [String] { (trainingStems + [testStem]).map { $0 + ".bin" } }
  /// The name of the authors' archive, which sat reads without unpacking it to disk.
  var archiveName: String { "cifar-\(classes)-binary.tar.gz" }
  private var archives: [String] { [archiveName, "cifar-\(classes)-python.tar.gz"].map { "\(folder)/\($0)" } }
  private var labelBytes: Int { classes == 10 ? 1 : 2 }
  private var recordBytes: Int { labelBytes + 3 * 32 * 32 }

  /// The folders that unpacking the authors' archives makes.
  static func unpackedFolders(classes: Int) -> [String] {
    classes == 10 ? ["cifar-10-batches-bin", "cifar-10-batches-py"] : ["cifar-100-binary", "cifar-100-python"]
  }

  private var hasArchive: Bool { archives.contains(where: FileManager.default.fileExists(atPath:)) }

  /// Returns the names of the files of a split that are expected, and of those that are there.
  func files(of split: DataSource.Split) -> (expected: [String], found: [String]) {
    let expected = split == .test ? [testStem] : trainingStems
    return (expected, hasArchive ? expected : expected.filter { file($0) != nil })
  }

  /// True if the folder holds at least one of the files.
  ///
  /// The names of CIFAR-100's pickles are common, so `meta` must be beside them.
  var isHere: Bool {
    let manager = FileManager.default
    let hasNamedPickles = classes == 10 || manager.isFile("\(folder)/meta")
    return archives.contains(where: manager.fileExists(atPath:))
      || (trainingStems + [testStem]).contains {
        file($0).map { hasNamedPickles || $0.hasSuffix(".bin") || $0.hasSuffix(".gz") } ?? false
      }
  }

  /// Returns the path of a file of either version; nil if there is none.
  private func file(_ stem: String) -> String? {
    let pickle = "\(folder)/\(stem)"
    return FileManager.default.plainOrPacked(pickle + ".bin") ?? (FileManager.default.isFile(pickle) ? pickle : nil)
  }

  func testPart() throws -> ImageDataset { try read([testStem], split: "test") }

  /// Reads the training files; the first 5,000 images in file order are for validation, as in the paper's code.
  func trainingParts() throws -> (train: ImageDataset, validation: ImageDataset) {
    let whole = try read(trainingStems, split: "train")
    guard whole.count > Self.validationCount else {
      throw SATError(
        "\(name): \(folder) has only \(whole.count) training images; expected more than the \(Self.validationCount) for validation")
    }
    var validation = try whole.subset(0..<Self.validationCount)
    validation.split = "validation"
    return (try whole.subset(Self.validationCount..<whole.count), validation)
  }

  /// Reads the files that are there. If some but not all are missing, a note names those that the data set consists of here.
  private func read(_ wanted: [String], split: String) throws -> ImageDataset {
    let there = wanted.filter { file($0) != nil }
    let stems = there.isEmpty || hasArchive ? wanted : there
    let paths = stems.map(file)
    let missing = zip(stems, paths).filter { $1 == nil }.map(\.0)
    var packed: [String: [UInt8]] = [:]
    var archive = archives[0]
    if !missing.isEmpty {
      guard let found = archives.first(where: FileManager.default.fileExists(atPath:)) else {
        throw SATError(
          "\(name): \(folder)/\(missing[0]).bin[.gz] is not there, and \(archive) is not there either; get them with `sat data "
            + "fetch \(name)`, say where they are with --data-root, or name their folder or one of the files with --data")
      }
      archive = found
      packed = try members(missing, of: archive)
    }
    let records = try zip(stems, paths).map { stem, path in
      guard let path else { return try decode(packed[stem] ?? [], "\(archive): \(stem)") }
      let bytes = try FileBytes.read(path, expecting: "a \(name) batch")
      return try decode(path.hasSuffix(".gz") ? Self.unpacked(bytes, path) : bytes, path)
    }
    var dataset = try ImageDataset(
      name: title ?? name, split: split, images: records.count == 1 ? records[0].images : .concatenated(records.map(\.images)),
      labels: .concatenated(records.map(\.labels)), classNames: classNames())
    if stems.count < wanted.count {
      dataset.note("only \(stems.count) of the \(wanted.count) \(split) files are there; `sat data fetch \(name)` gets all of them")
    }
    return dataset
  }

  private static func unpacked(_ compressed: [UInt8], _ path: String) throws(TorchError) -> [UInt8] {
    try naming(path) { () throws(FormatError) in try GzipStream.contents(of: compressed, limit: largestBatch) }
  }

  /// Returns the wanted files of an archive by their last path components without `.bin`, without unpacking the others.
  private func members(_ wanted: [String], of archive: String) throws(TorchError) -> [String: [UInt8]] {
    var tar = TarReader(try GzipStream.open(archive))
    return try naming(archive) { () throws(FormatError) in
      var found: [String: [UInt8]] = [:]
      while found.count < wanted.count, let entry = try tar.next() {
        let last = entry.name.split(separator: "/").last.map(String.init) ?? ""
        let stem = last.hasSuffix(".bin") ? String(last.dropLast(4)) : last
        guard entry.kind == .file, wanted.contains(stem), found[stem] == nil else { continue }
        guard entry.size <= Self.largestBatch else {
          throw FormatError("its \(quoted(last)) has \(entry.size) bytes; expected at most \(Self.largestBatch)")
        }
        found[stem] = try tar.read(entry.size)
      }
      if let missing = wanted.first(where: { found[$0] == nil }) {
        throw FormatError(
          "holds no \(missing); expected the binary or Python version of \(name), so fetch it again with `sat data fetch \(name)`")
      }
      return found
    }
  }

  private func decode(_ bytes: [UInt8], _ path: String) throws -> (images: Tensor, labels: Tensor) {
    // No record begins like a pickle, because 0x80 is no label.
    let (rows, labels) = PickleFile.begins(bytes) ? try pickled(bytes, path) : try records(bytes, path)
    let (smallest, largest) = (Int(labels.min().item()), Int(labels.max().item()))
    guard smallest >= 0, largest < classes else {
      throw SATError(
        "\(path): a record has label \(smallest < 0 ? smallest : largest); expected 0 to \(classes - 1), so the file "
          + "is not \(name)'s")
    }
    return (rows.reshaped(to: -1, 3, 32, 32), labels)
  }

  private func records(_ bytes: [UInt8], _ path: String) throws(SATError) -> (rows: Tensor, labels: Tensor) {
    guard !bytes.isEmpty, bytes.count % recordBytes == 0 else {
      throw SATError("\(path) has \(bytes.count) bytes; expected a multiple of the \(recordBytes) bytes of a \(name) record")
    }
    let records = Tensor(bytes: bytes[...], shape: [bytes.count / recordBytes, recordBytes], dtype: .uint8)
    return (records[.all, labelBytes...], records[.all, labelBytes - 1].to(.int64))
  }

  private func pickled(_ bytes: [UInt8], _ path: String) throws -> (rows: Tensor, labels: Tensor) {
    let batch = try PickleFile.decode(bytes, name: path)
    let key = classes == 10 ? "labels" : "fine_labels"
    guard let rows = try batch["data"]?.numPyArray(source: path), case .list(let items)? = batch[key]?.content, !items.isEmpty
    else {
      throw SATError("\(path) is a pickle without 'data' and '\(key)'; expected a batch of \(name)'s Python version")
    }
    let labels = items.compactMap { item in if case .int(let label) = item.content { label } else { nil } }
    guard labels.count == items.count, rows.dtype == .uint8, rows.shape == [labels.count, 3072] else {
      throw SATError(
        "\(path): 'data' has shape \(rows.shape) and type \(rows.dtype) beside \(items.count) labels; expected "
          + "[\(items.count), 3072] of uint8, and whole numbers as labels")
    }
    return (try rows.makeTensor(), Tensor(labels))
  }

  private func classNames() -> [String] {
    if classes == 10 { return Self.names }
    var lines: [String] = []
    if let text = try? String(contentsOfFile: "\(folder)/fine_label_names.txt", encoding: .utf8) {
      lines = text.split(whereSeparator: \.isNewline).map(String.init)
    } else if let bytes = try? FileBytes.read("\(folder)/meta", expecting: "names of classes"),
      case .list(let names)? = try? PickleFile.decode(bytes, name: "meta")["fine_label_names"]?.content
    {
      lines = names.compactMap(\.string)
    }
    return lines.count == classes ? lines : []
  }

  /// Reads one batch file that the user named by its path; returns nil when its bytes are neither CIFAR-10's nor CIFAR-100's.
  ///
  /// Size and labels tell the two apart; a pickle's keys do.
  /// - Throws: `SATError` for a pickle of another kind.
  static func file(_ path: String, _ raw: [UInt8]) throws -> ImageDataset? {
    let bytes = FileKind.isGzip(raw) ? try unpacked(raw, path) : raw
    var fault: (any Error)?
    for classes in [10, 100] {
      let kind = CIFAR(classes: classes, folder: (path as NSString).deletingLastPathComponent)
      do {
        let records = try kind.decode(bytes, path)
        return try ImageDataset(
          name: path, split: "file", images: records.images, labels: records.labels, classNames: kind.classNames())
      } catch { fault = fault ?? error }
    }
    if PickleFile.begins(bytes), let fault { throw fault }
    return nil
  }
}

extension FileManager {
  /// Returns true if a regular file, or a link to one, has this path.
  func isFile(_ path: String) -> Bool { fileExists(atPath: path) && !isFolder(path) }
}
