import Foundation
import SAT
import SwiftTorch

/// What a command reads, so that no output replaces it.
struct InputFiles {
  private var files: [String] = []
  /// With all that is in them.
  private var folders: [String] = []

  static func files(_ paths: [String?]) -> InputFiles {
    var inputs = InputFiles()
    inputs.files = paths.compactMap { $0 }
    return inputs
  }

  /// Of a run's folder what it is made of: documents about the run may lie beside, and be made anew.
  static func model(_ path: String?) -> InputFiles {
    guard let path else { return InputFiles() }
    var inputs = InputFiles()
    guard isFolder(path) else { return .files([path]) }
    let run = RunFolder(path)
    inputs.files = [run.configurationPath, run.metricsPath, run.stepsPath, "\(path)/\(ModelFile.weightsName)"]
    inputs.folders = ["\(path)/checkpoints"] + RunFolder.Checkpoint.allCases.map { run.folder(of: $0) }
    return inputs
  }

  /// A data set with its whole folder, a folder of pictures, or a file.
  static func data(_ source: String?, root: DataRoot) -> InputFiles {
    guard let source else { return InputFiles() }
    var inputs = InputFiles()
    var path = DataSource.names.contains(source) ? root.appending(source) : source
    if source == "digits", let digits = try? DigitsLocation.find(dataRoot: root) { path = digits }
    if isFolder(path) { inputs.folders = [path] } else { inputs.files = [path] }
    return inputs
  }

  static func + (a: InputFiles, b: InputFiles) -> InputFiles {
    var sum = a
    sum.files += b.files
    sum.folders += b.folders
    return sum
  }

  /// - Throws: `SATError` for an output that is one of the inputs, under whatever name.
  func refuse(_ outputs: [String]) throws(SATError) {
    let known = Set(files.compactMap(Identity.init))
    let places = folders.compactMap(realPath).map { $0 + "/" }
    for output in outputs {
      guard let identity = Identity(output), let place = realPath(output) else { continue }
      guard !known.contains(identity), !places.contains(where: place.hasPrefix) else {
        throw SATError("\(output) is one of the files that are read for the result, which would replace it; name another file for the result")
      }
    }
  }

  /// A file whatever it is called: by a symbolic link, a hard link or another spelling.
  private struct Identity: Hashable {
    var device: UInt64
    var number: UInt64

    /// Nil where nothing is.
    init?(_ path: String) {
      var info = stat()
      guard stat(path, &info) == 0 else { return nil }
      (device, number) = (UInt64(info.st_dev), UInt64(info.st_ino))
    }
  }

  private static func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
  }
}
