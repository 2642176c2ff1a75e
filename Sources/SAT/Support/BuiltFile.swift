internal import Foundation

/// Where the set-up's files may lie: `build/` beside or above the running program, or in the working folder.
enum BuiltFile {
  /// - Parameters:
  ///   - name: with `build/` in front.
  ///   - executable: path of the running program; its symbolic links are followed. Read from the system when nil.
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
