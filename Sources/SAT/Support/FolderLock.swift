internal import Foundation
internal import Glibc

/// Holds a folder for one process at a time, until it is released or the process ends, however it ends.
///
/// Where the file system knows no locks, nothing is held.
final class FolderLock {
  private let descriptor: Int32

  /// - Parameter use: what another process would be doing, for the sentence that refuses a second one.
  /// - Throws: `SATError` when another process holds the folder.
  init(_ path: String, use: String) throws(SATError) {
    descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if descriptor >= 0, flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
      close(descriptor)
      throw SATError("another process is \(use) \(path); wait until it is done, or choose another folder")
    }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }
}
