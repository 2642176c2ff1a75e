internal import Foundation
internal import Glibc

/// A folder for results.
enum OutputFolder {
  /// Creates the folder and its missing parents.
  ///
  /// This uses mkdir(2) because `FileManager` hides the system's reason for a failure.
  /// - Parameter advice: the end of the error: how the user can fix it.
  /// - Throws: `SATError` with the system's reason when the folder cannot be created.
  static func create(_ path: String, advice: String = "choose another") throws(SATError) {
    var made = path.hasPrefix("/") ? "/" : ""
    for part in path.split(separator: "/") {
      made += made.isEmpty || made.hasSuffix("/") ? String(part) : "/\(part)"
      guard mkdir(made, 0o777) != 0, errno != EEXIST else { continue }
      let code = errno
      // Some systems report a missing permission before they notice that the folder exists.
      guard FileManager.default.isFolder(made) else { throw failure(path, code, advice) }
    }
    guard FileManager.default.isFolder(path) else { throw failure(path, ENOTDIR, advice) }
  }

  private static func failure(_ path: String, _ code: Int32, _ advice: String) -> SATError {
    SATError("the folder \(path) cannot be made (\(SystemError.reason(code))); \(advice)")
  }
}

extension FileManager {
  /// True if the path is a folder or a link to a folder.
  package func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
  }
}
