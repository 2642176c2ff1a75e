internal import Foundation

/// The folder of the data sets; each has one sub-folder.
public struct DataRoot: Sendable, Equatable {
  public let path: String

  /// Chooses the folder: `option` (the value of `--data-root`), else the variable `SAT_DATA`, else `data` in the working folder.
  ///
  /// Without `environment`, the variables are those of the process.
  public init(option: String? = nil, environment: [String: String]? = nil) {
    let variables = environment ?? ProcessInfo.processInfo.environment
    let named = [option, variables["SAT_DATA"]].lazy.compactMap { $0 }.first { !$0.isEmpty }
    path = NSString(string: named ?? "data").expandingTildeInPath
  }

  /// Returns the path of a file or folder under the root, such as `mnist/train-images-idx3-ubyte.gz`.
  public func appending(_ relativePath: String) -> String { path.hasSuffix("/") ? path + relativePath : "\(path)/\(relativePath)" }
}

/// The folder of the 5,000 digits that the set-up makes (`scripts/make_digits.py`).
public enum DigitsLocation {
  /// The files in a folder of digits; they have MNIST's names.
  public static let fileNames = [
    "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz",
  ]

  /// Returns the folder of the digits.
  ///
  /// The order is: `SAT_DIGITS` if set, `build/digits` beside or above the running program (`executable`, with symbolic links
  /// resolved), `build/digits` in the working folder, and `digits` under the data root. Values that are nil come from the process.
  /// - Throws: `SATError` that says how to make the digits, also when `SAT_DIGITS` names a folder without digits, because the
  ///   function must not silently ignore the user's choice.
  public static func find(
    dataRoot: DataRoot, environment: [String: String]? = nil, executable: String? = nil, workingFolder: String? = nil
  ) throws(SATError) -> String {
    let variables = environment ?? ProcessInfo.processInfo.environment
    if let named = variables["SAT_DIGITS"], !named.isEmpty {
      if let missing = firstMissing(in: named) {
        throw SATError(
          "SAT_DIGITS names \(named), which has no \(missing); make it with `scripts/make_digits.py \(named)` or unset SAT_DIGITS")
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

extension FileManager {
  /// Returns the path if a file is there, else the path with `.gz` if a file is there, else nil.
  func plainOrPacked(_ path: String) -> String? { [path, path + ".gz"].first(where: fileExists(atPath:)) }
}

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
