internal import Foundation
internal import Glibc

/// A folder that results are written to.
enum OutputFolder {
  /// Makes the folder and those above it.
  ///
  /// - Parameter advice: how to mend it when it cannot be made.
  /// - Throws: `SATError` when it cannot be made, in the system's words, which `FileManager` keeps to itself.
  static func create(_ path: String, advice: String = "choose another") throws(SATError) {
    var made = path.hasPrefix("/") ? "/" : ""
    for part in path.split(separator: "/") {
      made += made.isEmpty || made.hasSuffix("/") ? String(part) : "/\(part)"
      guard mkdir(made, 0o777) != 0, errno != EEXIST else { continue }
      let code = errno
      // Of a folder that is there some systems say first that it may not be made.
      guard FileManager.default.isFolder(made) else { throw failure(path, code, advice) }
    }
    guard FileManager.default.isFolder(path) else { throw failure(path, ENOTDIR, advice) }
  }

  private static func failure(_ path: String, _ code: Int32, _ advice: String) -> SATError {
    SATError("the folder \(path) cannot be made (\(SystemError.reason(code))); \(advice)")
  }
}

extension FileManager {
  /// Whether a folder is there, or a link to one.
  func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
  }
}
