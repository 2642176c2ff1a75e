internal import Foundation

/// A file that can be fetched, pinned by its size and checksum so that any server may deliver it.
public struct RemoteFile: Sendable, Equatable {
  /// Where it belongs, relative to the data root.
  public let path: String
  /// Size in bytes.
  public let size: Int64
  /// SHA-256 as 64 lower-case hexadecimal digits.
  public let sha256: String
  /// Addresses of the same file, in the order they are tried.
  public let urls: [String]

  public init(path: String, size: Int64, sha256: String, urls: [String]) {
    self.path = path
    self.size = size
    self.sha256 = sha256
    self.urls = urls
  }

  /// The last component of ``path``, which every mirror keeps.
  public var name: String { String(path.split(separator: "/").last ?? "") }

  public enum State: Sendable, Equatable {
    /// There with the right size. Its checksum is checked when it is fetched, not here.
    case present
    case missing
    /// So many bytes of it are in the part file of an unfinished fetch.
    case partial(bytes: Int64)
    /// There, but of so many bytes.
    case wrongSize(bytes: Int64)
    /// Not there as it is fetched, but without the `.gz` at its end, which is read as well.
    case unpacked(bytes: Int64)

    /// Whether it can be loaded as it is.
    var isReadable: Bool {
      switch self {
      case .present, .unpacked: true
      case .missing, .partial, .wrongSize: false
      }
    }
  }

  /// Looks for the file under `root`, following symbolic links, without reading it.
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
  /// What it holds, in a few words.
  public let summary: String
  /// Whose it is and under which terms.
  public let license: String
  public let files: [RemoteFile]
  /// What does instead of the files, relative to the data root: parts of their own, as they are or with `.gz` at the end. Empty where
  /// nothing does.
  public let parts: [String]
  /// How many pictures a folder among the parts has in its sub-folders when it is whole.
  public let pictures: [String: Int]
  /// Whether `files` is one archive that is unpacked to `parts` and then deleted.
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

  /// Bytes to fetch in all.
  public var size: Int64 { files.reduce(0) { $0 + $1.size } }

  /// The paths of those of ``parts`` that are there.
  public func partsPresent(under root: DataRoot) -> [String] {
    parts.compactMap { part in [part, part + ".gz"].first { FileManager.default.fileExists(atPath: root.appending($0)) } }
  }

  /// Whether all of it is there, in either form.
  public func isPresent(under root: DataRoot) -> Bool {
    (!parts.isEmpty && partsPresent(under: root).count == parts.count)
      || (!isUnpacked && files.allSatisfy { $0.state(under: root).isReadable })
  }

  /// The folders among the parts that have fewer pictures than they should, in words; empty where nothing is missing or nothing is there.
  public func shortParts(under root: DataRoot) -> [String] {
    let manager = FileManager.default
    return partsPresent(under: root).compactMap { part in
      guard let expected = pictures[part] else { return nil }
      let folder = root.appending(part)
      let classes = (try? manager.contentsOfDirectory(atPath: folder)) ?? []
      let found = classes.reduce(0) { $0 + ((try? manager.contentsOfDirectory(atPath: "\(folder)/\($1)"))?.count ?? 0) }
      return found < expected ? "\(part) has \(found) of \(expected) pictures" : nil
    }
  }

  /// Unpacks what was fetched, where that has to be, and deletes the archive.
  ///
  /// - Throws: a sentence when the archive is not what it should be; nothing of it is there then.
  public func unpack(under root: DataRoot) throws {
    guard isUnpacked, let file = files.first else { return }
    let archive = root.appending(file.path)
    try ArchiveUnpacker().unpack(archive, into: root.appending(name))
    let missing = parts.filter { !FileManager.default.fileExists(atPath: root.appending($0)) }
    guard missing.isEmpty else { throw SATError("\(archive) was unpacked, but \(missing[0]) was not in it") }
    try FileManager.default.removeItem(atPath: archive)
  }
}

/// The data sets that can be fetched. A new one is one more entry here.
public enum DatasetCatalog {
  public static let datasets = [mnist, cifar10, cifar100, imagenette]

  /// - Throws: a sentence that lists the known names.
  public static func dataset(named name: String) throws(SATError) -> RemoteDataset {
    if let dataset = datasets.first(where: { $0.name == name }) { return dataset }
    let known = datasets.map(\.name).joined(separator: ", ")
    throw SATError("there is no data set \"\(name)\" to fetch; known: \(known)")
  }

  /// Sizes and checksums are those that TensorFlow Datasets publishes for the same files.
  private static let mnist = RemoteDataset(
    name: "mnist",
    summary: "60,000 + 10,000 handwritten digits, 28x28 grey, 10 classes",
    license: "Y. LeCun, C. Cortes, C. J. C. Burges; CC BY-SA 3.0",
    files: [
      mnistFile("train-images-idx3-ubyte.gz", 9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
      mnistFile("train-labels-idx1-ubyte.gz", 28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
      mnistFile("t10k-images-idx3-ubyte.gz", 1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
      mnistFile("t10k-labels-idx1-ubyte.gz", 4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    ])

  private static let cifar10 = RemoteDataset(
    name: "cifar10",
    summary: "50,000 + 10,000 photographs, 32x32 colour, 10 classes",
    license: "A. Krizhevsky, V. Nair, G. Hinton; no licence stated, research use",
    files: [cifarFile("cifar10", "cifar-10-binary.tar.gz", 170_052_171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd")],
    parts: (1...5).map { "cifar10/data_batch_\($0).bin" } + ["cifar10/test_batch.bin"])

  private static let cifar100 = RemoteDataset(
    name: "cifar100",
    summary: "50,000 + 10,000 photographs, 32x32 colour, 100 classes",
    license: "A. Krizhevsky, V. Nair, G. Hinton; no licence stated, research use",
    files: [cifarFile("cifar100", "cifar-100-binary.tar.gz", 168_513_733, "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec")],
    parts: ["cifar100/train.bin", "cifar100/test.bin"])

  private static func cifarFile(_ dataset: String, _ name: String, _ size: Int64, _ sha256: String) -> RemoteFile {
    RemoteFile(path: "\(dataset)/\(name)", size: size, sha256: sha256, urls: ["https://www.cs.toronto.edu/~kriz/\(name)"])
  }

  /// The version whose shorter edges are 320 pixels, which the resize to 256 leaves nothing to gain over.
  private static let imagenette = RemoteDataset(
    name: "imagenette",
    summary: "9,469 + 3,925 photographs of ten easy classes of ImageNet, shorter edge 320, taken at 224x224",
    license: "fast.ai, Apache-2.0; the photographs are ImageNet's, for non-commercial research",
    files: [
      RemoteFile(
        path: "imagenette/imagenette2-320.tgz", size: 341_553_947,
        sha256: "5020a9130cea0348272823cb12d2db7e981c6f2afa3dce71ccd5b8013005c55e",
        urls: ["https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-320.tgz"])
    ],
    parts: ["imagenette/train", "imagenette/val"], pictures: ["imagenette/train": 9469, "imagenette/val": 3925], isUnpacked: true)

  private static func mnistFile(_ name: String, _ size: Int64, _ sha256: String) -> RemoteFile {
    let bases = ["https://storage.googleapis.com/cvdf-datasets/mnist", "https://ossci-datasets.s3.amazonaws.com/mnist"]
    return RemoteFile(path: "mnist/\(name)", size: size, sha256: sha256, urls: bases.map { "\($0)/\(name)" })
  }
}
