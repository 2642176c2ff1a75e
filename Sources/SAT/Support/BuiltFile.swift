internal import Foundation
internal import SwiftTorch

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

/// Finds Plotly's JavaScript, which the set-up copies from the pip package `plotly`.
public enum PlotlyLocation {
  static let fileName = "build/plotly.min.js"

  /// Returns the text of the file that `SAT_PLOTLY` names, else of `build/plotly.min.js` beside or above the running program or
  /// in the working folder. Nil takes the process's environment, program and folder.
  ///
  /// - Throws: `SATError` when the file is missing or is not Plotly.
  public static func load(
    environment: [String: String]? = nil, executable: String? = nil, workingFolder: String? = nil
  ) throws -> String {
    let variables = environment ?? ProcessInfo.processInfo.environment
    let named = variables["SAT_PLOTLY"].flatMap { $0.isEmpty ? nil : $0 }
    let candidates = named.map { [$0] } ?? BuiltFile.candidates(fileName, executable: executable, workingFolder: workingFolder)
    guard let path = candidates.first(where: FileManager.default.fileExists(atPath:)) else {
      throw SATError(
        named.map { "SAT_PLOTLY names \($0), which is not there; name a plotly.min.js or unset SAT_PLOTLY" }
          ?? "Plotly, which draws a report's charts, is not there; get it with `scripts/bootstrap` in the checkout, or name a "
          + "plotly.min.js in SAT_PLOTLY")
    }
    let text = String(decoding: try FileBytes.read(path, expecting: "Plotly's JavaScript"), as: UTF8.self)
    guard text.contains("Plotly"), !text.lowercased().contains("</script") else {
      throw SATError("\(path) is not Plotly's JavaScript; expected the plotly.min.js of the pip package plotly")
    }
    return text
  }
}
