internal import Foundation
internal import Glibc

/// Keeps a folder for one process, as long as it lives: the system gives the lock back however the process ends.
final class FolderLock {
  private let descriptor: Int32

  /// - Parameter advice: how to mend it when another process has the folder.
  /// - Throws: `SATError` when another has, or nothing can be written there.
  init(_ folder: String, advice: String) throws(SATError) {
    descriptor = open("\(folder)/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw SATError("\(folder)/lock cannot be written (\(SystemError.reason(errno))); \(advice)") }
    // File systems without locks answer otherwise, and then nobody can be asked.
    guard flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK else { return }
    close(descriptor)
    throw SATError("\(folder) is in use by another process; \(advice)")
  }

  deinit { close(descriptor) }
}
