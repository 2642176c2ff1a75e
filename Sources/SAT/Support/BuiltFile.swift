internal import Foundation

/// The places for files of the set-up: `build/` beside or above the running program, or in the working folder.
enum BuiltFile {
  /// Returns the paths to try for a relative path that begins with `build/`; nil takes the running program or working folder.
  static func candidates(_ name: String, executable: String? = nil, workingFolder: String? = nil) -> [String] {
    let program = URL(fileURLWithPath: executable ?? "/proc/self/exe").resolvingSymlinksInPath()
    let folders = sequence(first: program.deletingLastPathComponent()) { $0.path == "/" ? nil : $0.deletingLastPathComponent() }
    return folders.map { $0.appendingPathComponent(name).path }
      + ["\(workingFolder ?? FileManager.default.currentDirectoryPath)/\(name)"]
  }
}
