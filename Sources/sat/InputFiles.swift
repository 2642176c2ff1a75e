import Foundation
import SAT
import SwiftTorch

/// The files that a command reads, which no output may replace.
struct InputFiles {
  private var files: [String] = []
  /// Folders whose whole content counts as read.
  private var folders: [String] = []

  /// Single files; nil stands for an option that is absent.
  static func files(_ paths: [String?]) -> InputFiles {
    var inputs = InputFiles()
    inputs.files = paths.compactMap { $0 }
    return inputs
  }

  /// The files of a model. A run folder counts only with the run's own files, because documents about the run may be replaced.
  static func model(_ path: String?) -> InputFiles {
    guard let path else { return InputFiles() }
    var inputs = InputFiles()
    guard isFolder(path) else { return .files([path]) }
    let run = RunFolder(path)
    inputs.files = [run.configurationPath, run.metricsPath, run.stepsPath, "\(path)/\(ModelFile.weightsName)"]
    inputs.folders = ["\(path)/checkpoints"] + RunFolder.Checkpoint.allCases.map { run.folder(of: $0) }
    return inputs
  }

  /// The files of `--data`: the folder of a data set, a folder of pictures, or one file.
  static func data(_ source: String?, root: DataRoot) -> InputFiles {
    guard let source else { return InputFiles() }
    var inputs = InputFiles()
    var path = DataSource.names.contains(source) ? root.appending(source) : source
    if source == "digits", let digits = try? DigitsLocation.find(dataRoot: root) { path = digits }
    if isFolder(path) { inputs.folders = [path] } else { inputs.files = [path] }
    return inputs
  }

  static func + (left: InputFiles, right: InputFiles) -> InputFiles {
    var sum = left
    sum.files += right.files
    sum.folders += right.folders
    return sum
  }

  /// Refuses outputs that would overwrite an input.
  ///
  /// - Throws: `SATError` if an output is one of the inputs, even through a link or another spelling.
  func refuseOverwrite(by outputs: [String]) throws(SATError) {
    let inputs = Set(files.compactMap(Identity.init))
    let inputFolders = folders.compactMap(realPath).map { $0 + "/" }
    for output in outputs {
      guard let identity = Identity(output), let path = realPath(output) else { continue }
      guard !inputs.contains(identity), !inputFolders.contains(where: path.hasPrefix) else {
        throw SATError("\(output) is an input of this command, and the result would replace it; name another file for the result")
      }
    }
  }

  /// The identity of a file, which links and other spellings of its path share.
  private struct Identity: Hashable {
    var device: UInt64
    var number: UInt64

    /// Nil if the file does not exist.
    init?(_ path: String) {
      var info = stat()
      guard stat(path, &info) == 0 else { return nil }
      device = UInt64(info.st_dev)
      number = UInt64(info.st_ino)
    }
  }

  private static func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
  }
}
