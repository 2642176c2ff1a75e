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
  }

  /// Looks for the file under `root`, following symbolic links, without reading it.
  public func state(under root: DataRoot) -> State {
    let target = root.appending(path)
    if let bytes = Self.size(ofFileAt: target) { return bytes == size ? .present : .wrongSize(bytes: bytes) }
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

  public init(name: String, summary: String, license: String, files: [RemoteFile]) {
    self.name = name
    self.summary = summary
    self.license = license
    self.files = files
  }

  /// Bytes to fetch in all.
  public var size: Int64 { files.reduce(0) { $0 + $1.size } }
}

/// The data sets that can be fetched. A new one is one more entry here.
public enum DatasetCatalog {
  public static let datasets = [mnist]

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

  private static func mnistFile(_ name: String, _ size: Int64, _ sha256: String) -> RemoteFile {
    let bases = ["https://storage.googleapis.com/cvdf-datasets/mnist", "https://ossci-datasets.s3.amazonaws.com/mnist"]
    return RemoteFile(path: "mnist/\(name)", size: size, sha256: sha256, urls: bases.map { "\($0)/\(name)" })
  }
}
