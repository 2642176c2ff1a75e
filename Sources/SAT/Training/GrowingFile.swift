internal import Foundation
internal import SwiftTorch

/// A file that is written whole once and then grows at its end, for logs that others read while a run goes on.
final class GrowingFile {
  private let path: String
  private let handle: FileHandle

  /// Whether it was deleted or replaced since, so that what is appended would be lost.
  var isGone: Bool {
    var (own, there) = (stat(), stat())
    return fstat(handle.fileDescriptor, &own) != 0 || stat(path, &there) != 0 || own.st_ino != there.st_ino
  }

  /// Writes the contents so far, replacing an older file of that name.
  ///
  /// - Throws: a sentence naming the file when it cannot be written.
  init(_ path: String, contents: [UInt8]) throws {
    try AtomicFile.write(contents, to: path)
    guard let handle = FileHandle(forWritingAtPath: path) else {
      throw SATError("\(path) cannot be written any longer; expected a file in a folder that stays as it is; run again")
    }
    (self.path, self.handle) = (path, handle)
    try handle.seekToEnd()
  }

  deinit { try? handle.close() }

  /// The file anew, after it was deleted.
  func again(contents: [UInt8]) throws -> GrowingFile { try GrowingFile(path, contents: contents) }

  /// - Throws: a sentence naming the file when it cannot be written.
  func append(_ bytes: [UInt8]) throws {
    do { try handle.write(contentsOf: Data(bytes)) } catch {
      throw SATError(
        "\(path) cannot be written (\(SystemError.reason(error))); expected room on the disk; free some and go on with --resume")
    }
  }
}
