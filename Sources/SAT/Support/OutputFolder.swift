internal import Foundation
internal import Glibc

enum OutputFolder {
  /// Creates the folder and its missing parents; throws `SATError` with the system's reason and then the advice.
  ///
  /// This uses mkdir(2) because `FileManager` hides the reason.
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
  /// Removes the files of a folder whose names pass a test, as far as the system allows.
  func removeContents(of folder: String, where isRemoved: (String) -> Bool) {
    for name in (try? contentsOfDirectory(atPath: folder)) ?? [] where isRemoved(name) {
      try? removeItem(atPath: "\(folder)/\(name)")
    }
  }

  /// True if the path is a folder or a link to a folder.
  package func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
  }
}
