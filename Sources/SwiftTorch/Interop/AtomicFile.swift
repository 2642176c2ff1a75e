import Glibc
import Synchronization

/// Writes files that appear whole or not at all.
///
/// The writer uses a temporary name in the same folder, flushes the file to disk and renames it. A failure leaves an older file
/// unchanged. The writer follows a symbolic link and replaces its target, with the target's permissions.
public enum AtomicFile {
  /// Writes `bytes` as the whole contents of `path`.
  public static func write(_ bytes: [UInt8], to path: String) throws(TorchError) {
    try write(to: path) { file throws(TorchError) in try file.append(bytes) }
  }

  /// Writes `text` in UTF-8 as the whole contents of `path`.
  public static func write(_ text: String, to path: String) throws(TorchError) {
    try write(to: path) { file throws(TorchError) in try file.append(text) }
  }

  /// Writes `path` piece by piece. The file appears under this name after `body` has returned.
  ///
  /// - Throws: the error of `body`, or `TorchError` that names `path` (no folder, not permitted, disk full, not a regular file).
  public static func write(to path: String, _ body: (Writer) throws(TorchError) -> Void) throws(TorchError) {
    let writer = try Writer(replacing: path)
    do {
      try body(writer)
      try writer.commit()
    } catch {
      writer.abandon()
      throw error
    }
  }

  /// Throws the error that `write` would throw, before a long computation of the contents. The check leaves no file.
  public static func check(_ path: String) throws(TorchError) { try Writer(replacing: path).abandon() }

  /// Ends the program at once with `status`, even in the middle of a write, and leaves no temporary file behind.
  public static func exitAbandoningAll(status: Int32) -> Never {
    // No writer can open another file, because the lock stays held.
    Writer.temporaries.withLock { files -> Never in
      for file in files { unlink(file) }
      _exit(status)
    }
  }

  /// The open temporary file. It is valid only inside the closure that receives it.
  public final class Writer {
    private let path: String
    private let destination: String
    /// The folder of the destination with a slash at its end, or "" for the working folder.
    private let folder: String
    private let temporary: String
    private var descriptor: Int32

    private static let serial = Atomic<Int>(0)
    /// The temporary files of all open writers.
    fileprivate static let temporaries = Mutex<Set<String>>([])

    fileprivate init(replacing path: String) throws(TorchError) {
      guard !path.isEmpty, !path.utf8.contains(0) else {
        throw TorchError(.io, "'\(path)' is not a file name; expected a path to write; give one")
      }
      var destination = path
      var mode: mode_t?
      var info = stat()
      if stat(path, &info) == 0 {
        switch info.st_mode & S_IFMT {
        case S_IFREG: mode = info.st_mode & 0o7777
        case S_IFDIR: throw TorchError(.io, "\(path) is a folder; expected a file name; add one at the end")
        default: throw TorchError(.io, "\(path) is a device, socket or pipe; expected a regular file; give another name")
        }
        destination = realPath(path) ?? path
      }
      self.path = path
      self.destination = destination
      folder = destination.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(destination[...$0]) } ?? ""
      // A name derived from the target's name could exceed the 255 bytes of a file name.
      var name = ""
      var (opened, code): (Int32, Int32) = (-1, 0)
      repeat {
        let number = Self.serial.wrappingAdd(1, ordering: .relaxed).newValue
        name = "\(folder).partial-\(getpid())-\(number)"
        (opened, code) = Self.temporaries.withLock { files in
          let opened = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
          let code = errno
          if opened >= 0 { files.insert(name) }
          return (opened, code)
        }
      } while opened < 0 && (code == EEXIST || code == EINTR)
      temporary = name
      descriptor = opened
      guard opened >= 0 else { throw failure(code) }
      if let mode { _ = fchmod(opened, mode) }
    }

    /// Adds bytes at the end.
    public func append(_ bytes: [UInt8]) throws(TorchError) {
      precondition(descriptor >= 0, "AtomicFile.Writer was used after its closure returned")
      let code = bytes.withUnsafeBytes { buffer -> Int32 in
        var done = 0
        while done < buffer.count {
          let wrote = Glibc.write(descriptor, buffer.baseAddress! + done, buffer.count - done)
          if wrote == 0 { return ENOSPC }
          if wrote < 0 && errno != EINTR { return errno }
          done += max(wrote, 0)
        }
        return 0
      }
      guard code == 0 else { throw failure(code) }
    }

    /// Adds text in UTF-8 at the end.
    public func append(_ text: String) throws(TorchError) { try append(Array(text.utf8)) }

    fileprivate func commit() throws(TorchError) {
      // Some file systems cannot flush a single file and return EINVAL. The rename is still atomic there.
      if fsync(descriptor) != 0 && errno != EINVAL { throw failure(errno) }
      let closed = close(descriptor)
      descriptor = -1
      guard closed == 0 else { throw failure(errno) }
      guard rename(temporary, destination) == 0 else { throw failure(errno) }
      forget()
      let opened = open(folder.isEmpty ? "." : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      if opened >= 0 {
        // This lets the new name survive a power cut. The contents are safe already, so a failure here does not matter.
        _ = fsync(opened)
        close(opened)
      }
    }

    fileprivate func abandon() {
      if descriptor >= 0 { close(descriptor) }
      descriptor = -1
      unlink(temporary)
      forget()
    }

    private func forget() { _ = Self.temporaries.withLock { $0.remove(temporary) } }

    private func failure(_ code: Int32) -> TorchError {
      let what =
        switch code {
        case ENOSPC, EDQUOT:
          "the disk is full; expected room for the whole file, and nothing was changed; free some space and run again"
        case EFBIG:
          "the file grew past the size limit of this process; expected a higher limit, and nothing was changed; raise it (ulimit "
            + "-f)"
        case EACCES, EPERM:
          "writing there is not permitted; expected a folder you may write to; choose another or change its permissions"
        case EROFS: "that file system is read-only; expected a folder you may write to; choose another"
        case ENOENT: "its folder does not exist; expected an existing folder; create it first"
        case ENOTDIR: "a part of that path is a file; expected a folder; check the path"
        case ENAMETOOLONG: "that name is too long; expected at most 255 bytes a name; choose a shorter one"
        default:
          "cannot be written (\(systemMessage(code))); expected a writable disk, and nothing was changed; check it and run again"
        }
      return TorchError(.io, "\(path): \(what)")
    }
  }
}
