internal import FileCodecs
internal import Foundation
internal import SwiftTorch

/// The pictures below a folder with one sub-folder for each class, as torchvision's `ImageFolder` finds them.
///
/// A class is a sub-folder. Its pictures may lie at any depth. Classes and files are in the order of their bytes.
struct PictureFolder {
  private(set) var classes: [String] = []
  private(set) var paths: [RawPath] = []
  private(set) var labels: [Int] = []
  /// Files and folders that are hidden or no pictures, relative to the folder.
  private(set) var leftOut: [RawPath] = []

  /// The deepest folder below a class. A link to a folder above it would have no end.
  private static let deepest = 32
  private static let endings = "JPEG, PNG, PPM, BMP, TIFF or WebP"

  /// Lists the pictures.
  ///
  /// - Throws: `SATError` when the folder has no classes or a class has no pictures; `TorchError` when a folder cannot be listed.
  init(_ folder: String) throws {
    let root = RawPath(folder)
    let entries = try root.entries()
    leftOut = entries.filter { !$0.isFolder || $0.name.isHidden }.map(\.name)
    let names = entries.filter { $0.isFolder && !$0.name.isHidden }.map(\.name)
    guard !names.isEmpty else {
      throw SATError(
        "\(folder) has no sub-folders; expected one for each class, with its pictures (\(Self.endings)) inside")
    }
    for (label, name) in names.enumerated() {
      let found = try pictures(root, name)
      guard !found.isEmpty else {
        throw SATError(
          "\(folder)/\(name) holds no pictures (\(Self.endings)); expected those of class \(label); fill the folder or remove it")
      }
      classes.append(name.description)
      paths += found
      labels += Array(repeating: label, count: found.count)
    }
  }

  /// Returns the pictures below a class: folder after folder in the order of their paths, as `sorted(os.walk(…))` has them.
  private mutating func pictures(_ root: RawPath, _ name: RawPath) throws -> [RawPath] {
    var folders = [(path: name, depth: 0)]
    var files: [(folder: RawPath, names: [RawPath])] = []
    while let (folder, depth) = folders.popLast() {
      guard depth <= Self.deepest else {
        throw SATError(
          "\(root.appending(folder)) lies more than \(Self.deepest) folders deep; a link may lead to a folder above; remove it")
      }
      var names: [RawPath] = []
      for entry in try root.appending(folder).entries() {
        if entry.name.isHidden || (!entry.isFolder && !ImageCodec.endings.contains(entry.name.ending)) {
          leftOut.append(folder.appending(entry.name))
        } else if entry.isFolder {
          folders.append((folder.appending(entry.name), depth + 1))
        } else {
          names.append(entry.name)
        }
      }
      files.append((folder, names))
    }
    return files.sorted { $0.folder < $1.folder }.flatMap { folder, names in names.map { root.appending(folder.appending($0)) } }
  }

  /// A sentence about what was left out; nil if nothing was.
  var note: String? {
    guard !leftOut.isEmpty else { return nil }
    let shown = leftOut.prefix(3).map(\.description).joined(separator: ", ")
    let rest = leftOut.count > 3 ? " and \(leftOut.count - 3) more" : ""
    return "\(leftOut.count) \(leftOut.count == 1 ? "entry is" : "entries are") left out, hidden or without the ending of a "
      + "picture: \(shown)\(rest)"
  }
}

extension ImageDataset {
  /// Reads a folder of pictures with one sub-folder for each class, as torchvision's `ImageFolder` does.
  ///
  /// It lists the files and reads the headers until two sizes differ. `titles` are readable names for sub-folders with technical
  /// names.
  /// - Throws: the errors of `PictureFolder` and `PictureFiles.chosen`.
  init(folder: String, name: String, split: String, titles: [String: String] = [:], reading: ImageReading) throws {
    let pictures = try PictureFolder(folder)
    let (files, notes) = try PictureFiles.chosen(pictures.paths, reading)
    try self.init(
      name: name, split: split, files: files, labels: Tensor(pictures.labels),
      classNames: pictures.classes.map { titles[$0] ?? $0 })
    self.notes = [pictures.note].compactMap(\.self) + notes
  }
}
