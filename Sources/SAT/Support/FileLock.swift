internal import Foundation
internal import Glibc

/// Holds the name of a file for one process at a time, until it is released or the process ends, however it ends.
///
/// The file itself is replaced at every write, so a hidden file beside it carries the lock. Where the file system knows no locks,
/// nothing is held.
final class FileLock {
  private let path: String
  private let descriptor: Int32

  /// - Parameter use: what another process would be doing, for the sentence that refuses a second one.
  /// - Throws: `SATError` when another process holds the name.
  init(_ file: String, use: String) throws(SATError) {
    let place = URL(fileURLWithPath: file).resolvingSymlinksInPath()
    path = place.deletingLastPathComponent().appendingPathComponent(".\(place.lastPathComponent).lock").path
    var opened: Int32 = -1
    var attempts = 0
    repeat {
      if opened >= 0 { close(opened) }
      opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
      if opened >= 0, flock(opened, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
        close(opened)
        throw SATError("another process is \(use) \(file); wait until it is done, or choose another file")
      }
      attempts += 1  // The process that had the lock may have removed the file between the two calls.
    } while opened >= 0 && attempts < 100 && !Self.isFile(opened, at: path)
    descriptor = opened
  }

  private static func isFile(_ descriptor: Int32, at path: String) -> Bool {
    var (held, named) = (stat(), stat())
    return fstat(descriptor, &held) == 0 && stat(path, &named) == 0 && held.st_dev == named.st_dev && held.st_ino == named.st_ino
  }

  deinit {
    guard descriptor >= 0 else { return }
    unlink(path)
    close(descriptor)
  }
}
