import Glibc

/// Reads whole files into memory, with one sentence for each thing that can go wrong.
public enum FileBytes {
  /// Reads a regular file. The caller's expectation ("a checkpoint") goes into the message.
  ///
  /// - Throws: `TorchError` that names `path` if the file is missing, a folder, a device or pipe, unreadable, empty, or larger than
  ///   the machine's memory.
  public static func read(_ path: String, expecting expected: String = "a file") throws(TorchError) -> [UInt8] {
    var info = stat()
    guard stat(path, &info) == 0 else { throw unreadable(path, expected, errno) }
    // The check comes before `open`, because `open` of a pipe without a writer would block for ever.
    switch info.st_mode & S_IFMT {
    case S_IFREG: break
    case S_IFDIR: throw TorchError(.io, "\(path): is a folder; expected \(expected); name a file inside it")
    default:
      throw TorchError(.io, "\(path): is a device, socket or pipe; expected \(expected) in a regular file; save it to disk first")
    }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw unreadable(path, expected, errno) }
    defer { close(descriptor) }
    let size = Int(info.st_size)
    guard size > 0 else { throw TorchError(.io, "\(path): is empty; expected \(expected); copy or download it again") }
    let memory = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
    guard size <= memory else {
      throw TorchError(
        .outOfMemory,
        "\(path): holds \(size) bytes, more than this machine's memory of \(memory); expected \(expected); use a larger machine")
    }
    var failure: Int32 = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      while count < size {
        let got = readOnce(descriptor, UnsafeMutableBufferPointer(rebasing: buffer[count...]))
        if got < 0 { failure = errno }
        if got <= 0 { break }
        count += got
      }
    }
    guard failure == 0 else { throw unreadable(path, expected, failure) }
    guard bytes.count == size else {
      throw TorchError(
        .io, "\(path): became shorter while it was read; expected \(size) bytes; wait until it is written and run again")
    }
    return bytes
  }

  private static func unreadable(_ path: String, _ expected: String, _ code: Int32) -> TorchError {
    switch code {
    case ENOENT, ENOTDIR: TorchError(.io, "\(path): there is no such file; expected \(expected); check the path")
    case EACCES, EPERM:
      TorchError(.io, "\(path): reading it is not permitted; expected \(expected) you may read; change its permissions")
    default: TorchError(.io, "\(path): cannot be read (\(systemMessage(code))); expected \(expected); check the disk and the path")
    }
  }
}

/// Reads at most as many bytes as the buffer holds, and returns their number or -1. A signal does not end the call.
private func readOnce(_ descriptor: Int32, _ buffer: UnsafeMutableBufferPointer<UInt8>) -> Int {
  var got = -1
  repeat { got = Glibc.read(descriptor, buffer.baseAddress!, buffer.count) } while got < 0 && errno == EINTR
  return got
}

/// A file that the reader reads piece by piece.
package final class FileStream {
  private let descriptor: Int32

  /// Opens a file. An error names `path`.
  package init(_ path: String) throws(TorchError) {
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw TorchError(.io, "\(path): cannot be read (\(systemMessage(errno))); check the path") }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Reads the next bytes, at most `count`. It returns none at the file's end.
  package func read(_ count: Int) throws(FormatError) -> [UInt8] {
    var failure: Int32 = 0
    let piece = [UInt8](unsafeUninitializedCapacity: count) { buffer, produced in
      let got = readOnce(descriptor, buffer)
      if got < 0 { failure = errno }
      produced = max(got, 0)
    }
    guard failure == 0 else { throw FormatError("cannot be read (\(systemMessage(failure))); check the disk") }
    return piece
  }
}

/// Returns the path of a file or folder without symbolic links, or nil if there is none.
package func realPath(_ path: String) -> String? {
  guard let resolved = realpath(path, nil) else { return nil }
  defer { free(resolved) }
  return String(cString: resolved)
}

/// Returns the C library's text for an `errno` value.
package func systemMessage(_ code: Int32) -> String { String(cString: strerror(code)) }
