internal import Foundation

/// A folder that results are written to.
enum OutputFolder {
  /// Makes the folder and those above it.
  ///
  /// - Throws: `SATError` when it cannot be made.
  static func create(_ path: String) throws(SATError) {
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw SATError("the folder \(path) cannot be made (\((error as NSError).localizedDescription)); choose another")
    }
  }
}
