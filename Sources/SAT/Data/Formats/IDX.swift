internal import FileCodecs
internal import Foundation
public import SwiftTorch

/// Images or labels in MNIST's IDX format, raw or compressed by gzip; the contents tell the two apart.
///
/// Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database", section "File formats".
public struct IDXFile: Sendable {
  /// The meaning of the bytes, with the magic number of the file.
  public enum Kind: UInt32, Sendable {
    case images = 0x0000_0803
    case labels = 0x0000_0801

    fileprivate var dimensions: Int { self == .images ? 3 : 1 }
    fileprivate var name: String { self == .images ? "images" : "labels" }
    fileprivate var magic: String { "0x0000080\(dimensions)" }
  }

  /// The shape: `[count, height, width]` for images, `[count]` for labels.
  public let shape: [Int]
  /// The elements in row-major order, one byte each: grey 0…255, or the class.
  public let bytes: ArraySlice<UInt8>

  public var count: Int { shape[0] }

  /// Reads a file of the given kind.
  ///
  /// - Throws: `TorchError` that names the path when the file is not IDX or gzip, of the other kind, cut off, too long or damaged.
  public static func read(_ path: String, as kind: Kind) throws(TorchError) -> IDXFile {
    try decode(try FileBytes.read(path, expecting: "IDX \(kind.name)"), as: kind, name: path)
  }

  /// Reads images with their labels.
  ///
  /// - Throws: `TorchError` that names the wrong file, also when the counts differ or a label is not below `classes`.
  public static func readPair(
    images imagesPath: String, labels labelsPath: String, classes: Int = 10
  ) throws(TorchError) -> (images: IDXFile, labels: IDXFile) {
    let images = try read(imagesPath, as: .images)
    let labels = try read(labelsPath, as: .labels)
    guard images.count == labels.count else {
      throw TorchError(
        .value,
        "\(labelsPath): holds \(labels.count) labels; expected \(images.count), one for each image of \(imagesPath); use files of "
          + "the same split")
    }
    if let wrong = labels.bytes.firstIndex(where: { Int($0) >= classes }) {
      throw TorchError(
        .value,
        "\(labelsPath): label \(wrong - labels.bytes.startIndex) is \(labels.bytes[wrong]); expected 0 to \(classes - 1); check "
          + "that it is the right data set")
    }
    return (images, labels)
  }

  /// Decodes the contents of a file; errors use `name` for the file.
  public static func decode(_ bytes: [UInt8], as kind: Kind, name: String) throws(TorchError) -> IDXFile {
    try naming(name) { () throws(FormatError) in try decode(bytes, as: kind) }
  }

  /// Returns the elements as a `uint8` tensor on the CPU, [N, H, W] or [N].
  public func tensor() -> Tensor { Tensor(bytes: bytes, shape: shape, dtype: .uint8) }

  private static func decode(_ file: [UInt8], as kind: Kind) throws(FormatError) -> IDXFile {
    let isCompressed = FileKind.isGzip(file)
    let headerSize = 4 + 4 * kind.dimensions
    func unpacked(_ body: () throws(FormatError) -> [UInt8]) throws(FormatError) -> [UInt8] {
      do { return try body() } catch { throw FormatError("is a gzip file, but \(error.message)") }
    }
    let head =
      isCompressed
      ? try unpacked { () throws(FormatError) in try GzipStream(file).read(headerSize) } : Array(file.prefix(headerSize))
    guard head.count >= 4 else {
      throw FormatError("is cut off within its first 4 bytes; expected IDX \(kind.name); download it again")
    }
    let magic = word(head, 0)
    guard magic == kind.rawValue else { throw mislabelled(magic, kind, isCompressed) }
    guard head.count == headerSize else {
      throw FormatError("is cut off within its header of \(headerSize) bytes; expected IDX \(kind.name); download it again")
    }
    let shape = (0..<kind.dimensions).map { Int(word(head, 4 + 4 * $0)) }
    guard let size = elementCount(shape), size > 0, size <= Int.max - headerSize else {
      throw FormatError("declares \(kind.name) of the impossible shape \(shape); expected sizes of at least 1; download it again")
    }
    // The declared size only limits the unpacked bytes; the code never allocates memory from it in advance.
    let contents =
      isCompressed ? try unpacked { () throws(FormatError) in try GzipStream.contents(of: file, limit: headerSize + size) } : file
    let held = contents.count - headerSize
    guard held == size else {
      throw FormatError(
        "holds \(held) bytes of \(kind.name); expected \(size) for the shape \(shape) in its header, so it is "
          + "\(held < size ? "cut off" : "too long"); download it again")
    }
    return IDXFile(shape: shape, bytes: contents[headerSize...])
  }

  private static func mislabelled(_ magic: UInt32, _ kind: Kind, _ isCompressed: Bool) -> FormatError {
    if let other = Kind(rawValue: magic) {
      return FormatError(
        "holds IDX \(other.name) (magic \(other.magic)); expected \(kind.name) (magic \(kind.magic)); perhaps the two paths are "
          + "swapped")
    }
    let what = isCompressed ? "is a gzip file without IDX data inside" : "is neither an IDX nor a gzip file"
    return FormatError(
      "\(what); expected IDX \(kind.name) (magic \(kind.magic)), raw or compressed by gzip; check the path or download it again")
  }

  private static func word(_ bytes: [UInt8], _ position: Int) -> UInt32 {
    bytes[position..<position + 4].reduce(0) { $0 << 8 | UInt32($1) }
  }
}

/// A folder with MNIST's four files.
struct IDXFolder: ImageParts {
  let name: String
  let folder: String

  /// True if the folder holds the images of at least one part.
  static func isHere(_ folder: String) -> Bool { ["train", "t10k"].contains { file(folder, $0, "images", 3) != nil } }

  /// Returns the path of a file; nil if there is none. Some programs that unpack archives write a dot for the second hyphen.
  private static func file(_ folder: String, _ part: String, _ stem: String, _ dimensions: Int) -> String? {
    ["-", "."].lazy.compactMap { dot in
      FileManager.default.plainOrPacked("\(folder)/\(part)-\(stem)\(dot)idx\(dimensions)-ubyte")
    }.first
  }

  /// True if both files of a split are there.
  func hasFiles(of split: DataSource.Split) -> Bool {
    let part = split == .test ? "t10k" : "train"
    return [("images", 3), ("labels", 1)].allSatisfy { Self.file(folder, part, $0, $1) != nil }
  }

  func testPart() throws -> ImageDataset { try read("t10k", split: "test") }

  /// Reads the training files and keeps a tenth of each class for validation.
  func trainingParts() throws -> (train: ImageDataset, validation: ImageDataset) {
    try read("train", split: "train").splittingOffValidation()
  }

  /// Reads the IDX pair `<part>-images-idx3-ubyte[.gz]` and `<part>-labels-idx1-ubyte[.gz]`.
  private func read(_ part: String, split: String) throws -> ImageDataset {
    func path(_ stem: String, _ dimensions: Int) throws -> String {
      guard let found = Self.file(folder, part, stem, dimensions) else {
        throw SATError(
          "\(name): \(folder)/\(part)-\(stem)-idx\(dimensions)-ubyte[.gz] is not there; get it with `sat data fetch mnist`, or say "
            + "where the data are with --data-root")
      }
      return found
    }
    let (images, labels) = try IDXFile.readPair(images: path("images", 3), labels: path("labels", 1))
    return try ImageDataset(
      name: name, split: split, images: images.tensor().unsqueezed(dim: 1), labels: labels.tensor().to(.int64))
  }
}
