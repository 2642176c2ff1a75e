internal import Foundation
internal import SwiftTorch

/// A folder of pictures with parts for training and testing, such as Imagenette.
struct PictureSplits: ImageParts {
  let name: String
  let folder: String
  /// Readable names of classes, for folders with technical names.
  var titles: [String: String] = [:]
  var reading = ImageReading()
  var usedChoices: Set<ReadingChoice> { [.preprocessing] }

  static let testFolders = ["val", "test", "validation"]

  /// The names of Imagenette's folders, which are WordNet's numbers, and of their classes.
  static let imagenetteTitles = [
    "n01440764": "tench", "n02102040": "English springer", "n02979186": "cassette player", "n03000684": "chain saw",
    "n03028079": "church", "n03394916": "French horn", "n03417042": "garbage truck", "n03425413": "gas pump",
    "n03445777": "golf ball", "n03888257": "parachute",
  ]

  /// True if the classes of the part for training are Imagenette's.
  static func isImagenette(_ folder: String) -> Bool { imagenetteTitles.keys.allSatisfy { exists("\(folder)/train/\($0)") } }

  /// True if a folder has a part for training and a part for testing.
  static func isDivided(_ folder: String) -> Bool {
    exists("\(folder)/train") && testFolders.contains { exists("\(folder)/\($0)") }
  }

  private static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

  /// Reads the folder `val`, `test` or `validation`.
  func testPart() throws -> ImageDataset {
    guard let part = Self.testFolders.first(where: { Self.exists("\(folder)/\($0)") }) else { throw missing("val") }
    return try ImageDataset(folder: "\(folder)/\(part)", name: name, split: "test", titles: titles, reading: reading)
  }

  /// Reads `train` and keeps a tenth of each class for validation.
  func trainingParts() throws -> (train: ImageDataset, validation: ImageDataset) {
    guard Self.exists("\(folder)/train") else { throw missing("train") }
    return try ImageDataset(folder: "\(folder)/train", name: name, split: "train", titles: titles, reading: reading)
      .splittingOffValidation()
  }

  private func missing(_ part: String) -> SATError {
    SATError(
      "\(name): the folder \(folder)/\(part) is not there; get it with `sat data fetch \(name)`, or say where the data are with "
        + "--data-root")
  }
}
