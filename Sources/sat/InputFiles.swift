import Foundation
import SAT
import SwiftTorch

/// The files that a command reads, which no output may replace.
struct InputFiles {
  private var files: [String] = []
  /// Folders whose whole content counts as read.
  private var folders: [String] = []

  /// Single files; nil stands for an option that is absent.
  static func files(_ paths: [String?]) -> InputFiles { InputFiles(files: paths.compactMap(\.self)) }

  /// The files of a model. A run folder counts only with the run's own files, because documents about the run may be replaced.
  static func model(_ path: String?) -> InputFiles {
    guard let path, FileManager.default.isFolder(path) else { return .files([path]) }
    let run = RunFolder(path)
    return InputFiles(
      files: [run.configurationPath, run.metricsPath, run.stepsPath, "\(path)/\(ModelFile.weightsName)"],
      folders: ["\(path)/checkpoints"] + RunFolder.Checkpoint.allCases.map { run.folder(of: $0) })
  }

  /// The files of `--data`: the folder of a data set, a folder of pictures, or one file.
  static func data(_ source: String?, root: DataRoot) -> InputFiles {
    guard let source else { return InputFiles() }
    let paths = DataSource(source).paths(root: root)
    let folders = paths.filter(FileManager.default.isFolder)
    return InputFiles(files: paths.filter { !folders.contains($0) }, folders: folders)
  }

  static func + (left: InputFiles, right: InputFiles) -> InputFiles {
    InputFiles(files: left.files + right.files, folders: left.folders + right.folders)
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

  /// The identity of a file, which links and other spellings of its path share. Nil if the file does not exist.
  private struct Identity: Hashable {
    var device: UInt64
    var number: UInt64

    init?(_ path: String) {
      var info = stat()
      guard stat(path, &info) == 0 else { return nil }
      device = UInt64(info.st_dev)
      number = UInt64(info.st_ino)
    }
  }
}
