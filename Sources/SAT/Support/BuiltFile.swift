internal import Foundation

/// The places for files of the set-up: `build/` beside or above the running program, or in the working folder.
enum BuiltFile {
  /// - Parameters:
  ///   - name: the relative path, which begins with `build/`.
  ///   - executable: path of the running program; nil asks the system.
  static func candidates(_ name: String, executable: String? = nil, workingFolder: String? = nil) -> [String] {
    var folder = URL(fileURLWithPath: executable ?? "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    var candidates: [String] = []
    while true {
      candidates.append(folder.appendingPathComponent(name).path)
      if folder.path == "/" { break }
      folder = folder.deletingLastPathComponent()
    }
    return candidates + ["\(workingFolder ?? FileManager.default.currentDirectoryPath)/\(name)"]
  }
}
