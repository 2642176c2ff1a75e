internal import Foundation

/// A file to download. Its size and checksum are fixed, so any server may deliver it.
public struct RemoteFile: Sendable, Equatable {
  /// Relative to the data root.
  public let path: String
  /// The size in bytes.
  public let size: Int64
  /// The SHA-256 checksum as 64 lower-case hexadecimal digits.
  public let sha256: String
  /// The addresses of the file, in the order in which the downloader tries them.
  public let urls: [String]

  public init(path: String, size: Int64, sha256: String, urls: [String]) {
    self.path = path
    self.size = size
    self.sha256 = sha256
    self.urls = urls
  }

  /// Makes a file of the folder `dataset` that several servers have under its own name.
  fileprivate init(_ dataset: String, _ name: String, _ size: Int64, _ sha256: String, from bases: String...) {
    self.init(path: "\(dataset)/\(name)", size: size, sha256: sha256, urls: bases.map { "\($0)/\(name)" })
  }

  /// The last component of ``path``; every mirror uses this name.
  public var name: String { String(path.split(separator: "/").last ?? "") }

  /// The presence of the file on the disk.
  public enum State: Sendable, Equatable {
    /// The file is there with the right size. Only a fetch checks the checksum.
    case present
    case missing
    /// The part file of an unfinished fetch has this many bytes.
    case partial(bytes: Int64)
    /// The file is there but has this other size.
    case wrongSize(bytes: Int64)
    /// The file is there without `.gz` at its end, in a form that sat reads as well.
    case unpacked(bytes: Int64)

    var isReadable: Bool { if case .unpacked = self { true } else { self == .present } }
  }

  /// Returns the state of the file under `root`. Follows symbolic links and does not read the file.
  public func state(under root: DataRoot) -> State {
    let target = root.appending(path)
    let found = Self.size(ofFileAt: target)
    if found == size { return .present }
    if path.hasSuffix(".gz"), !path.hasSuffix(".tar.gz"), let bytes = Self.size(ofFileAt: String(target.dropLast(3))) {
      return .unpacked(bytes: bytes)
    }
    if let found { return .wrongSize(bytes: found) }
    if let bytes = Self.size(ofFileAt: target + ".part") { return .partial(bytes: bytes) }
    return .missing
  }

  private static func size(ofFileAt path: String) -> Int64? {
    let resolved = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
    let attributes = try? FileManager.default.attributesOfItem(atPath: resolved)
    return (attributes?[.size] as? NSNumber)?.int64Value
  }
}

/// A data set that `sat data fetch` can get.
public struct RemoteDataset: Sendable, Equatable {
  public let name: String
  public let summary: String
  /// The owners and their terms.
  public let license: String
  public let files: [RemoteFile]
  /// The unpacked files or folders that replace `files`, relative to the data root, with or without `.gz` at the end.
  public let parts: [String]
  /// The number of pictures that a whole folder among the parts has in its sub-folders.
  public let pictures: [String: Int]
  /// Whether `files` is one archive that `unpack(under:)` unpacks to `parts` and then deletes.
  public let isUnpacked: Bool

  public init(
    name: String, summary: String, license: String, files: [RemoteFile], parts: [String] = [], pictures: [String: Int] = [:],
    isUnpacked: Bool = false
  ) {
    self.name = name
    self.summary = summary
    self.license = license
    self.files = files
    self.parts = parts
    self.pictures = pictures
    self.isUnpacked = isUnpacked
  }

  /// The total size of the files in bytes.
  public var size: Int64 { files.reduce(0) { $0 + $1.size } }

  /// Returns the paths of the ``parts`` that are there.
  private func partsPresent(under root: DataRoot) -> [String] {
    parts.compactMap { part in [part, part + ".gz"].first { FileManager.default.fileExists(atPath: root.appending($0)) } }
  }

  /// True if all files or all parts are there.
  public func isPresent(under root: DataRoot) -> Bool {
    (!parts.isEmpty && partsPresent(under: root).count == parts.count)
      || (!isUnpacked && files.allSatisfy { $0.state(under: root).isReadable })
  }

  /// Returns a phrase for each folder among the parts that has too few pictures; a folder that is missing gets no phrase.
  public func shortParts(under root: DataRoot) -> [String] {
    partsPresent(under: root).compactMap { part in
      guard let expected = pictures[part] else { return nil }
      let found = FileManager.default.fileCount(inFoldersOf: root.appending(part))
      return found < expected ? "\(part) has \(found) of \(expected) pictures" : nil
    }
  }

  /// Unpacks a fetched archive and deletes it; does nothing if sat reads the files directly.
  ///
  /// - Throws: `SATError` or `TorchError` when the archive is wrong. A damaged archive leaves no files.
  public func unpack(under root: DataRoot) throws {
    guard isUnpacked, let file = files.first else { return }
    let archive = root.appending(file.path)
    try ArchiveUnpacker().unpack(archive, into: root.appending(name))
    let missing = parts.filter { !FileManager.default.fileExists(atPath: root.appending($0)) }
    guard missing.isEmpty else { throw SATError("\(archive) was unpacked, but \(missing[0]) was not in it") }
    try FileManager.default.removeItem(atPath: archive)
  }
}

extension FileManager {
  /// Returns the number of files in all sub-folders of a folder.
  func fileCount(inFoldersOf folder: String) -> Int {
    let folders = (try? contentsOfDirectory(atPath: folder)) ?? []
    return folders.reduce(0) { $0 + ((try? contentsOfDirectory(atPath: "\(folder)/\($1)"))?.count ?? 0) }
  }
}

/// The data sets that sat can fetch. A new data set needs one more entry here.
public enum DatasetCatalog {
  public static let datasets = [
    mnist,
    cifar(10, size: 170_052_171, sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
    cifar(100, size: 168_513_733, sha256: "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"), imagenette,
  ]

  /// Returns the data set with a name, or throws a `SATError` that lists the known names.
  public static func dataset(named name: String) throws(SATError) -> RemoteDataset {
    if let dataset = datasets.first(where: { $0.name == name }) { return dataset }
    let known = datasets.map(\.name).joined(separator: ", ")
    throw SATError("there is no data set \"\(name)\" to fetch; known: \(known)")
  }

  /// MNIST. TensorFlow Datasets publishes these sizes and checksums for the same files.
  private static let mnist = RemoteDataset(
    name: "mnist", summary: "60,000 + 10,000 handwritten digits, 28x28 grey, 10 classes",
    license: "Y. LeCun, C. Cortes, C. J. C. Burges; CC BY-SA 3.0",
    files: [
      mnistFile("train-images-idx3-ubyte.gz", 9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
      mnistFile("train-labels-idx1-ubyte.gz", 28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
      mnistFile("t10k-images-idx3-ubyte.gz", 1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
      mnistFile("t10k-labels-idx1-ubyte.gz", 4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    ])

  private static func mnistFile(_ name: String, _ size: Int64, _ sha256: String) -> RemoteFile {
    RemoteFile(
      "mnist", name, size, sha256, from: "https://storage.googleapis.com/cvdf-datasets/mnist",
      "https://ossci-datasets.s3.amazonaws.com/mnist")
  }

  private static func cifar(_ classes: Int, size: Int64, sha256: String) -> RemoteDataset {
    let set = CIFAR(classes: classes, folder: "cifar\(classes)")
    return RemoteDataset(
      name: set.name, summary: "50,000 + 10,000 photographs, 32x32 colour, \(classes) classes",
      license: "A. Krizhevsky, V. Nair, G. Hinton; no licence stated, research use",
      files: [RemoteFile(set.folder, set.archiveName, size, sha256, from: "https://www.cs.toronto.edu/~kriz")],
      parts: set.binaryFiles.map { "\(set.folder)/\($0)" })
  }

  /// Imagenette with a shorter edge of 320 pixels; larger versions add nothing, because evaluation resizes this edge to 256.
  private static let imagenette = RemoteDataset(
    name: "imagenette", summary: "9,469 + 3,925 photographs of ten easy classes of ImageNet, shorter edge 320, read at 224x224",
    license: "fast.ai, Apache-2.0; the photographs are ImageNet's, for non-commercial research",
    files: [
      RemoteFile(
        "imagenette", "imagenette2-320.tgz", 341_553_947, "5020a9130cea0348272823cb12d2db7e981c6f2afa3dce71ccd5b8013005c55e",
        from: "https://s3.amazonaws.com/fast-ai-imageclas")
    ],
    parts: ["imagenette/train", "imagenette/val"], pictures: ["imagenette/train": 9469, "imagenette/val": 3925], isUnpacked: true)
}
