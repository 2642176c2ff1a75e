internal import Foundation

/// The folder that holds the data sets, one sub-folder each.
public struct DataRoot: Sendable, Equatable {
  public let path: String

  /// - Parameter option: the value of `--data-root`. Without it the variable `SAT_DATA` counts, else `data` in the working
  ///   folder.
  public init(option: String? = nil, environment: [String: String]? = nil) {
    let variables = environment ?? ProcessInfo.processInfo.environment
    let named = [option, variables["SAT_DATA"]].lazy.compactMap { $0 }.first { !$0.isEmpty }
    path = NSString(string: named ?? "data").expandingTildeInPath
  }

  /// The path of something under the root, e.g. `mnist/train-images-idx3-ubyte.gz`.
  public func appending(_ relativePath: String) -> String {
    path.hasSuffix("/") ? path + relativePath : "\(path)/\(relativePath)"
  }
}

/// Finds the folder of the 5,000 digits that the set-up makes (`scripts/make_digits.py`).
public enum DigitsLocation {
  /// The files a folder of digits holds, named as MNIST's.
  public static let fileNames = [
    "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz",
  ]

  /// The folder of the digits: `SAT_DIGITS` if set, else `build/digits` beside or above the running program, else
  /// `build/digits` in the working folder, else `digits` under the data root.
  ///
  /// - Parameters:
  ///   - environment: the process's when nil.
  ///   - executable: path of the running program; its symbolic links are followed. Read from the system when nil.
  /// - Throws: a sentence that says how to make the digits. `SAT_DIGITS` naming a folder without them is an error too: what
  ///   a user asked for is not replaced silently.
  public static func find(
    dataRoot: DataRoot, environment: [String: String]? = nil, executable: String? = nil, workingFolder: String? = nil
  ) throws(SATError) -> String {
    let variables = environment ?? ProcessInfo.processInfo.environment
    if let named = variables["SAT_DIGITS"], !named.isEmpty {
      if let missing = firstMissing(in: named) {
        throw SATError(
          "SAT_DIGITS names \(named), which has no \(missing); make it with `scripts/make_digits.py \(named)` "
            + "or unset SAT_DIGITS")
      }
      return named
    }
    let candidates =
      BuiltFile.candidates("build/digits", executable: executable, workingFolder: workingFolder) + [dataRoot.appending("digits")]
    if let found = candidates.first(where: { firstMissing(in: $0) == nil }) { return found }
    throw SATError(
      "the 5,000 digits that come with sat are not there; make them with `scripts/bootstrap` (or `make build`) in the checkout, "
        + "or name the folder that holds their four IDX files in SAT_DIGITS")
  }

  private static func firstMissing(in folder: String) -> String? {
    fileNames.first { !FileManager.default.fileExists(atPath: "\(folder)/\($0)") }
  }
}

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
