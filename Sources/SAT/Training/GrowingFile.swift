internal import Foundation
internal import SwiftTorch

/// A log file that others may read during a run: written whole once, then only appended to.
final class GrowingFile {
  private let path: String
  private let handle: FileHandle

  /// True if the file was deleted or replaced, so appended lines would be lost.
  var isGone: Bool {
    var (own, there) = (stat(), stat())
    return fstat(handle.fileDescriptor, &own) != 0 || stat(path, &there) != 0 || own.st_ino != there.st_ino
  }

  /// Writes the contents so far and replaces an older file of that name.
  ///
  /// - Throws: `SATError` that names the file when it cannot be written.
  init(_ path: String, contents: [UInt8]) throws {
    try AtomicFile.write(contents, to: path)
    guard let handle = FileHandle(forWritingAtPath: path) else {
      throw SATError("\(path) cannot be opened again after its first write; leave its folder unchanged during a run, and run again")
    }
    (self.path, self.handle) = (path, handle)
    try handle.seekToEnd()
  }

  deinit { try? handle.close() }

  /// Writes the file again after it was deleted.
  func again(contents: [UInt8]) throws -> GrowingFile { try GrowingFile(path, contents: contents) }

  /// Appends to the file.
  ///
  /// - Throws: `SATError` that names the file when it cannot be written.
  func append(_ bytes: [UInt8]) throws {
    do { try handle.write(contentsOf: Data(bytes)) } catch {
      throw SATError(
        "\(path) cannot be written (\(SystemError.reason(error))); expected room on the disk; free some and go on with --resume")
    }
  }
}
