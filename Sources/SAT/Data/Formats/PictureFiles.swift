internal import FileCodecs
internal import Foundation
internal import SwiftTorch

/// Pictures in files, decoded when they are asked for.
struct PictureFiles: Sendable {
  /// How a file becomes an image of the data set's size.
  enum View: Sendable, Equatable {
    /// All files have this size.
    case whole(height: Int, width: Int)
    /// The middle square of `side` pixels after the shorter edge has become 8/7 of it (256 for 224), as ImageNet's networks are tested.
    case middle(side: Int)
  }

  let paths: [String]
  let view: View

  /// [3, H, W] of the images.
  var imageShape: [Int] {
    switch view {
    case .whole(let height, let width): [3, height, width]
    case .middle(let side): [3, side, side]
    }
  }

  /// The picture of a file as it is, [3, H, W], uint8.
  func original(_ index: Int) throws(TorchError) -> Tensor { try Self.read(paths[index]) }

  static func read(_ path: String) throws(TorchError) -> Tensor {
    let bytes = try FileBytes.read(path, expecting: "a picture")
    return try naming(path) { () throws(FormatError) in try ImageCodec.decode(bytes) }
  }

  /// The images at the given positions as they are evaluated, [N, 3, H, W], uint8.
  func images(_ positions: [Int]) throws(TorchError) -> Tensor {
    var images: [Tensor] = []
    images.reserveCapacity(positions.count)
    for position in positions { images.append(try image(position)) }
    return .stacked(images)
  }

  private func image(_ index: Int) throws(TorchError) -> Tensor {
    let picture = try original(index)
    switch view {
    case .whole(let height, let width):
      guard picture.size(1) == height, picture.size(2) == width else {
        throw TorchError(
          .value,
          "\(paths[index]): is a picture of \(picture.size(2)) x \(picture.size(1)); expected \(width) x \(height), the size of the folder's first "
            + "picture, since small pictures are not resized")
      }
      return picture
    case .middle(let side): return Self.middle(of: picture, side: side)
    }
  }

  /// A picture that has the size already is taken as it is.
  static func middle(of picture: Tensor, side: Int) -> Tensor {
    if picture.size(1) == side && picture.size(2) == side { return picture }
    let picture = withoutFarEnds(picture)
    let (height, width) = (picture.size(1), picture.size(2))
    let shorter = side * 8 / 7
    // torchvision's Resize: the longer edge is rounded down.
    let scaled =
      height <= width
      ? picture.resized(height: shorter, width: shorter * width / height) : picture.resized(height: shorter * height / width, width: shorter)
    // As its CenterCrop, half a pixel goes to the even side.
    func margin(_ edge: Int) -> Int { Int((Double(edge - side) / 2).rounded(.toNearestOrEven)) }
    let (top, left) = (margin(scaled.size(1)), margin(scaled.size(2)))
    return scaled[.all, top..<top + side, left..<left + side]
  }

  /// Of a picture that is more than eight times as long as it is wide the middle, of which its own middle is: resized as a whole, a row of
  /// 20,000 pixels would take gigabytes.
  private static func withoutFarEnds(_ picture: Tensor) -> Tensor {
    func kept(_ edge: Int, _ other: Int) -> Range<Int> {
      let cut = max(0, edge - 8 * other) / 2
      return cut..<edge - cut
    }
    let (height, width) = (picture.size(1), picture.size(2))
    return picture[.all, kept(height, width), kept(width, height)]
  }

  func selecting(_ positions: [Int]) -> PictureFiles { PictureFiles(paths: positions.map { paths[$0] }, view: view) }
}

/// A folder of pictures with one sub-folder a class, as torchvision's `ImageFolder` reads them.
struct PictureFolder {
  /// The classes are the sub-folders in the order of their names.
  let classes: [String]
  let files: PictureFiles
  let labels: [Int]

  private static let endings: Set<String> = ["jpg", "jpeg", "png"]
  /// Pictures with a larger edge than this are resized and cropped, those of data sets like CIFAR are not.
  private static let largestWhole = 64

  /// Lists the files; only the first is opened, to learn the size.
  ///
  /// - Parameter side: of the images, for pictures that are resized.
  /// - Throws: a sentence when there are no classes or one of them has no picture.
  init(_ folder: String, side: Int = 224) throws {
    let manager = FileManager.default
    func entries(_ path: String) throws -> [String] {
      do {
        return try manager.contentsOfDirectory(atPath: path).filter { !$0.hasPrefix(".") }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
      } catch {
        throw SATError("\(path) cannot be listed: \(SystemError.reason(error)); expected a folder of pictures")
      }
    }
    classes = try entries(folder).filter { manager.isFolder("\(folder)/\($0)") }
    guard !classes.isEmpty else {
      throw SATError("\(folder) has no sub-folders; expected one a class, with its JPEG or PNG pictures inside")
    }
    var (paths, labels): ([String], [Int]) = ([], [])
    for (label, name) in classes.enumerated() {
      let found = try entries("\(folder)/\(name)").filter { Self.endings.contains(($0 as NSString).pathExtension.lowercased()) }
      guard !found.isEmpty else {
        throw SATError("\(folder)/\(name) holds no JPEG or PNG pictures; expected those of class \(label), so fill the folder or remove it")
      }
      paths += found.map { "\(folder)/\(name)/\($0)" }
      labels += Array(repeating: label, count: found.count)
    }
    let first = try PictureFiles.read(paths[0])
    let (height, width) = (first.size(1), first.size(2))
    let isSmall = max(height, width) <= Self.largestWhole
    files = PictureFiles(paths: paths, view: isSmall ? .whole(height: height, width: width) : .middle(side: side))
    self.labels = labels
  }

  /// - Parameters:
  ///   - name: for reports.
  ///   - titles: what to call classes whose folders have technical names.
  func dataset(name: String, split: String, titles: [String: String] = [:]) throws(SATError) -> ImageDataset {
    try ImageDataset(name: name, split: split, files: files, labels: Tensor(labels), classNames: classes.map { titles[$0] ?? $0 })
  }
}
