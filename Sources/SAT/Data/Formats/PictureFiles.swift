internal import FileCodecs
internal import Foundation
internal import SwiftTorch

/// Pictures in files, decoded on demand.
struct PictureFiles: Sendable {
  /// The way from a file to an image of the data set's size.
  enum View: Sendable, Equatable {
    /// The whole picture; all files have this size.
    case whole(height: Int, width: Int)
    /// The middle square of `side` pixels, after a resize of the shorter edge to 8/7 of `side` (256 for 224), usual for ImageNet.
    case middle(side: Int)
  }

  let paths: [String]
  let view: View

  /// The shape of one image, [3, H, W].
  var imageShape: [Int] {
    switch view {
    case .whole(let height, let width): [3, height, width]
    case .middle(let side): [3, side, side]
    }
  }

  /// Returns the picture of a file in its own size, [3, H, W], uint8.
  static func read(_ path: String) throws(TorchError) -> Tensor {
    let bytes = try FileBytes.read(path, expecting: "a picture")
    return try naming(path) { () throws(FormatError) in try ImageCodec.decode(bytes) }
  }

  /// Returns the images at the given positions in the size for evaluation, [N, 3, H, W], uint8.
  func images(_ positions: [Int]) throws(TorchError) -> Tensor {
    .stacked(try positions.map(image))
  }

  private func image(_ index: Int) throws(TorchError) -> Tensor {
    let picture = try Self.read(paths[index])
    switch view {
    case .whole(let height, let width):
      guard picture.size(1) == height, picture.size(2) == width else {
        throw TorchError(
          .value,
          "\(paths[index]): is a picture of \(picture.size(2)) x \(picture.size(1)); expected \(width) x \(height), the size of "
            + "the folder's first picture, because sat does not resize small pictures")
      }
      return picture
    case .middle(let side): return Self.middle(of: picture, side: side)
    }
  }

  /// Returns the middle square of a picture; a picture that already has the size stays unchanged.
  static func middle(of picture: Tensor, side: Int) -> Tensor {
    if picture.size(1) == side && picture.size(2) == side { return picture }
    let picture = croppedToAspectLimit(picture)
    let (height, width) = (picture.size(1), picture.size(2))
    let shorter = side * 8 / 7
    // torchvision's Resize rounds the longer edge down.
    let scaled =
      height <= width
      ? picture.resized(height: shorter, width: shorter * width / height)
      : picture.resized(height: shorter * height / width, width: shorter)
    // torchvision's CenterCrop rounds half a pixel to even.
    func margin(_ edge: Int) -> Int { Int((Double(edge - side) / 2).rounded(.toNearestOrEven)) }
    let (top, left) = (margin(scaled.size(1)), margin(scaled.size(2)))
    return scaled[.all, top..<top + side, left..<left + side]
  }

  /// Cuts the far ends off a picture that is more than eight times longer than wide; its middle square does not change.
  ///
  /// Without the cut, the resize of a picture with a row of 20,000 pixels takes gigabytes.
  private static func croppedToAspectLimit(_ picture: Tensor) -> Tensor {
    func kept(_ edge: Int, _ other: Int) -> Range<Int> {
      let cut = max(0, edge - 8 * other) / 2
      return cut..<edge - cut
    }
    let (height, width) = (picture.size(1), picture.size(2))
    return picture[.all, kept(height, width), kept(width, height)]
  }

  func selecting(_ positions: [Int]) -> PictureFiles { PictureFiles(paths: positions.map { paths[$0] }, view: view) }
}

extension ImageDataset {
  /// Reads a folder of pictures with one sub-folder for each class, as torchvision's `ImageFolder` does.
  ///
  /// It lists the files and opens only the first. Small pictures such as CIFAR's, up to 64 pixels, stay as they are; all others
  /// become squares of 224 pixels. `titles` are readable names for sub-folders with technical names.
  /// - Throws: `SATError` when the folder has no classes or a class has no pictures; `TorchError` when the first is unreadable.
  init(folder: String, name: String, split: String, titles: [String: String] = [:]) throws {
    let manager = FileManager.default
    func entries(_ path: String) throws -> [String] {
      do {
        return try manager.contentsOfDirectory(atPath: path).filter { !$0.hasPrefix(".") }.sorted {
          $0.utf8.lexicographicallyPrecedes($1.utf8)
        }
      } catch { throw SATError("\(path) cannot be listed: \(SystemError.reason(error)); expected a folder of pictures") }
    }
    let classes = try entries(folder).filter { manager.isFolder("\(folder)/\($0)") }
    guard !classes.isEmpty else {
      throw SATError("\(folder) has no sub-folders; expected one for each class, with its JPEG or PNG pictures inside")
    }
    var (paths, labels): ([String], [Int]) = ([], [])
    for (label, name) in classes.enumerated() {
      let found = try entries("\(folder)/\(name)").filter {
        ["jpg", "jpeg", "png"].contains(($0 as NSString).pathExtension.lowercased())
      }
      guard !found.isEmpty else {
        throw SATError(
          "\(folder)/\(name) holds no JPEG or PNG pictures; expected those of class \(label); fill the folder or remove it")
      }
      paths += found.map { "\(folder)/\(name)/\($0)" }
      labels += Array(repeating: label, count: found.count)
    }
    let first = try PictureFiles.read(paths[0])
    let (height, width) = (first.size(1), first.size(2))
    let files = PictureFiles(
      paths: paths, view: max(height, width) <= 64 ? .whole(height: height, width: width) : .middle(side: 224))
    try self.init(name: name, split: split, files: files, labels: Tensor(labels), classNames: classes.map { titles[$0] ?? $0 })
  }
}
