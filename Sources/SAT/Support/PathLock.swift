internal import Foundation
internal import Glibc

/// A lock that gives a file or folder to one process at a time, until the lock is released or the process ends in any way.
///
/// A file system without locks gives no protection.
final class PathLock {
  private let descriptor: Int32
  /// The hidden file that holds the lock of a file, because every write replaces the file itself; nil for a folder.
  private let holder: String?

  /// Locks a folder; throws `SATError` with the `use` of it, such as "training in", when another process holds it.
  init(folder: String, use: String) throws(SATError) {
    let opened = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    try Self.lock(opened, folder, use, "folder")
    descriptor = opened
    holder = nil
  }

  /// Locks the name of a file, which need not exist; throws `SATError` with the `use` of it when another process holds it.
  init(file: String, use: String) throws(SATError) {
    let place = URL(fileURLWithPath: file).resolvingSymlinksInPath()
    let holder = place.deletingLastPathComponent().appendingPathComponent(".\(place.lastPathComponent).lock").path
    var opened: Int32 = -1
    var attempts = 0
    repeat {
      if opened >= 0 { close(opened) }
      opened = open(holder, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
      try Self.lock(opened, file, use, "file")
      attempts += 1  // The process that had the lock may have removed the holder between the two calls.
    } while opened >= 0 && attempts < 100 && !Self.isFile(opened, at: holder)
    descriptor = opened
    self.holder = holder
  }

  /// Returns whether another process holds a folder's lock.
  static func isHeld(folder: String) -> Bool {
    let opened = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard opened >= 0 else { return false }
    defer { close(opened) }
    return flock(opened, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK
  }

  private static func lock(_ opened: Int32, _ path: String, _ use: String, _ word: String) throws(SATError) {
    guard opened >= 0, flock(opened, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK else { return }
    close(opened)
    throw SATError("another process is \(use) \(path); wait until it is done, or choose another \(word)")
  }

  private static func isFile(_ descriptor: Int32, at path: String) -> Bool {
    var (held, named) = (stat(), stat())
    return fstat(descriptor, &held) == 0 && stat(path, &named) == 0 && held.st_dev == named.st_dev && held.st_ino == named.st_ino
  }

  deinit {
    guard descriptor >= 0 else { return }
    if let holder { unlink(holder) }
    close(descriptor)
  }
}
