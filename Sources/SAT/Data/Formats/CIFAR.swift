internal import FileCodecs
internal import Foundation
internal import SwiftTorch

/// The reader of CIFAR-10's and CIFAR-100's binary files.
///
/// A record has one label byte (CIFAR-100: coarse, then fine) and 3,072 bytes of red, green and blue planes.
/// Source: A. Krizhevsky, "The CIFAR-10 dataset", section "Binary version".
struct CIFAR: ImageParts {
  /// 10 or 100.
  let classes: Int
  let folder: String

  static let validationCount = 5000
  /// The size of CIFAR-100's training file, the largest; the reader unpacks no longer file.
  static let largestBatch = 50_000 * 3074
  private static let names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]

  var name: String { "cifar\(classes)" }
  var trainingFiles: [String] { classes == 10 ? (1...5).map { "data_batch_\($0).bin" } : ["train.bin"] }
  var testFile: String { classes == 10 ? "test_batch.bin" : "test.bin" }
  /// The name of the authors' archive, which sat reads without unpacking it to disk.
  var archiveName: String { "cifar-\(classes)-binary.tar.gz" }
  private var archive: String { "\(folder)/\(archiveName)" }
  private var labelBytes: Int { classes == 10 ? 1 : 2 }
  private var recordBytes: Int { labelBytes + 3 * 32 * 32 }

  func testPart() throws -> ImageDataset { try read([testFile], split: "test") }

  /// Reads the training files; the first 5,000 images in file order are for validation, as in the paper's code.
  func trainingParts() throws -> (train: ImageDataset, validation: ImageDataset) {
    let whole = try read(trainingFiles, split: "train")
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
    let there = wanted.filter { FileManager.default.plainOrPacked("\(folder)/\($0)") != nil }
    let files = there.isEmpty || FileManager.default.fileExists(atPath: archive) ? wanted : there
    let paths = files.map { FileManager.default.plainOrPacked("\(folder)/\($0)") }
    let missing = zip(files, paths).filter { $1 == nil }.map(\.0)
    var packed: [String: [UInt8]] = [:]
    if !missing.isEmpty {
      guard FileManager.default.fileExists(atPath: archive) else {
        throw SATError(
          "\(name): \(folder)/\(missing[0])[.gz] is not there, and \(archive) is not there either; get them with `sat data fetch "
            + "\(name)`, say where they are with --data-root, or use one file alone with --data PATH.bin")
      }
      packed = try members(missing)
    }
    let records = try zip(files, paths).map { file, path in
      guard let path else { return try decode(packed[file] ?? [], "\(archive): \(file)") }
      let bytes = try FileBytes.read(path, expecting: "a \(name) batch")
      return try decode(path.hasSuffix(".gz") ? Self.unpacked(bytes, path) : bytes, path)
    }
    var dataset = try ImageDataset(
      name: name, split: split, images: records.count == 1 ? records[0].images : .concatenated(records.map(\.images)),
      labels: .concatenated(records.map(\.labels)), classNames: classNames())
    if files.count < wanted.count {
      dataset.note("only \(files.count) of the \(wanted.count) \(split) files are there; `sat data fetch \(name)` gets all of them")
    }
    return dataset
  }

  private static func unpacked(_ compressed: [UInt8], _ path: String) throws(TorchError) -> [UInt8] {
    try naming(path) { () throws(FormatError) in try GzipStream.contents(of: compressed, limit: largestBatch) }
  }

  /// Returns the wanted files of the archive by their last path components, without unpacking the others.
  private func members(_ wanted: [String]) throws(TorchError) -> [String: [UInt8]] {
    var tar = TarReader(try GzipStream.open(archive))
    return try naming(archive) { () throws(FormatError) in
      var found: [String: [UInt8]] = [:]
      while found.count < wanted.count, let entry = try tar.next() {
        let last = entry.name.split(separator: "/").last.map(String.init) ?? ""
        guard entry.kind == .file, wanted.contains(last), found[last] == nil else { continue }
        guard entry.size <= Self.largestBatch else {
          throw FormatError("its \(quoted(last)) has \(entry.size) bytes; expected at most \(Self.largestBatch)")
        }
        found[last] = try tar.read(entry.size)
      }
      if let missing = wanted.first(where: { found[$0] == nil }) {
        throw FormatError(
          "holds no \(missing); expected the binary version of \(name), so fetch it again with `sat data fetch \(name)`")
      }
      return found
    }
  }

  private func decode(_ bytes: [UInt8], _ path: String) throws(SATError) -> (images: Tensor, labels: Tensor) {
    guard !bytes.isEmpty, bytes.count % recordBytes == 0 else {
      throw SATError("\(path) has \(bytes.count) bytes; expected a multiple of the \(recordBytes) bytes of a \(name) record")
    }
    let records = Tensor(bytes: bytes[...], shape: [bytes.count / recordBytes, recordBytes], dtype: .uint8)
    let labels = records[.all, labelBytes - 1].to(.int64)
    let largest = Int(labels.max().item())
    guard largest < classes else {
      throw SATError("\(path): a record has label \(largest); expected 0 to \(classes - 1), so the file is not \(name)'s")
    }
    return (records[.all, labelBytes...].reshaped(to: -1, 3, 32, 32), labels)
  }

  private func classNames() -> [String] {
    if classes == 10 { return Self.names }
    guard let text = try? String(contentsOfFile: "\(folder)/fine_label_names.txt", encoding: .utf8) else { return [] }
    let lines = text.split(whereSeparator: \.isNewline).map(String.init)
    return lines.count == classes ? lines : []
  }

  /// Reads one batch file that the user named by its path; returns nil when its records are neither CIFAR-10's nor CIFAR-100's.
  ///
  /// Size and labels tell the two apart.
  static func file(_ path: String, _ raw: [UInt8]) throws -> ImageDataset? {
    let bytes = FileKind.isGzip(raw) ? try unpacked(raw, path) : raw
    for classes in [10, 100] {
      let kind = CIFAR(classes: classes, folder: (path as NSString).deletingLastPathComponent)
      guard let records = try? kind.decode(bytes, path) else { continue }
      return try ImageDataset(
        name: path, split: "file", images: records.images, labels: records.labels, classNames: kind.classNames())
    }
    return nil
  }
}
