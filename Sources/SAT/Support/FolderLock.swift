internal import Foundation
internal import Glibc

/// A lock that gives a folder to one process at a time, until the lock is released or the process ends in any way.
///
/// A file system without locks gives no protection.
final class FolderLock {
  private let descriptor: Int32

  /// - Parameter use: words for the error, such as "training in": the work that another process does with the folder.
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
