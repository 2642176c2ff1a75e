internal import Foundation
internal import SwiftTorch

/// Folders of pictures with parts for training and testing, and Imagenette, which is one.
struct PictureSplits: ImageParts {
  let name: String
  let folder: String
  /// What to call classes whose folders have technical names.
  var titles: [String: String] = [:]

  private static let testFolders = ["val", "test", "validation"]

  /// WordNet's numbers, of which Imagenette's folders are named.
  static let imagenetteTitles = [
    "n01440764": "tench", "n02102040": "English springer", "n02979186": "cassette player", "n03000684": "chain saw",
    "n03028079": "church", "n03394916": "French horn", "n03417042": "garbage truck", "n03425413": "gas pump", "n03445777": "golf ball",
    "n03888257": "parachute",
  ]

  /// Whether a folder has parts, rather than being one part itself.
  static func isDivided(_ folder: String) -> Bool { exists("\(folder)/train") && testFolders.contains { exists("\(folder)/\($0)") } }

  private static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

  /// The folder `val` (or `test`).
  func testPart() throws -> ImageDataset {
    guard let part = Self.testFolders.first(where: { Self.exists("\(folder)/\($0)") }) else { throw missing("val") }
    return try PictureFolder("\(folder)/\(part)").dataset(name: name, split: "test", titles: titles)
  }

  /// Validation is a tenth of `train` by class.
  func trainingParts() throws -> (train: ImageDataset, validation: ImageDataset) {
    guard Self.exists("\(folder)/train") else { throw missing("train") }
    return try PictureFolder("\(folder)/train").dataset(name: name, split: "train", titles: titles).splittingOffValidation()
  }

  private func missing(_ part: String) -> SATError {
    SATError(
      "\(name): the folder \(folder)/\(part) is not there; get it with `sat data fetch \(name)`, or say where the data are with --data-root")
  }
}
