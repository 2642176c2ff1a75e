import Glibc

/// Reads whole files into memory, with one sentence for each thing that can go wrong.
public enum FileBytes {
  /// Reads a regular file.
  ///
  /// - Parameters:
  ///   - path: the path of the file. A relative path starts at the working folder.
  ///   - expected: the contents that the caller expects ("a checkpoint"), for the message.
  /// - Throws: `TorchError` that names `path` if the file is missing, a folder, a device or pipe, unreadable, empty, or larger than
  ///   the machine's memory.
  public static func read(_ path: String, expecting expected: String = "a file") throws(TorchError) -> [UInt8] {
    try read(RawPath(path), expecting: expected)
  }

  /// Reads a regular file by a path that need not be UTF-8, with the errors of the other `read`.
  package static func read(_ path: RawPath, expecting expected: String) throws(TorchError) -> [UInt8] {
    let file = try FileSource(path, expecting: expected)
    let memory = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
    guard file.count <= memory else {
      throw TorchError(
        .outOfMemory,
        "\(path): holds \(file.count) bytes, more than this machine's memory of \(memory); expected \(expected); "
          + "use a larger machine"
      )
    }
    do { return try file.read() } catch { throw TorchError(.io, "\(path): \(error.message)") }
  }

  fileprivate static func unreadable(_ path: RawPath, _ expected: String, _ code: Int32) -> TorchError {
    switch code {
    case ENOENT, ENOTDIR: TorchError(.io, "\(path): there is no such file; expected \(expected); check the path")
    case EACCES, EPERM:
      TorchError(.io, "\(path): reading it is not permitted; expected \(expected) you may read; change its permissions")
    default: TorchError(.io, "\(path) cannot be read (\(systemMessage(code))); expected \(expected); check the disk and the path")
    }
  }
}

/// The bytes of a file: in memory, or on the disk until a reader asks for them.
public final class FileSource: Sendable {
  /// The number of bytes.
  let count: Int
  private let memory: [UInt8]
  /// The open file, or -1 for bytes in memory.
  private let descriptor: Int32

  init(_ bytes: [UInt8]) {
    count = bytes.count
    memory = bytes
    descriptor = -1
  }

  /// Opens a regular file, with the errors of `FileBytes.read` except for its size.
  init(_ path: RawPath, expecting expected: String) throws(TorchError) {
    var info = stat()
    guard stat(path.characters, &info) == 0 else { throw FileBytes.unreadable(path, expected, errno) }
    // The check comes before `open`, because `open` of a pipe without a writer would block for ever.
    switch info.st_mode & S_IFMT {
    case S_IFREG: break
    case S_IFDIR: throw TorchError(.io, "\(path) is a folder; expected \(expected); name a file inside it")
    default:
      throw TorchError(.io, "\(path) is a device, socket or pipe; expected \(expected) in a regular file; save it to disk first")
    }
    guard info.st_size > 0 else { throw TorchError(.io, "\(path) is empty; expected \(expected); copy or download it again") }
    descriptor = open(path.characters, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileBytes.unreadable(path, expected, errno) }
    count = Int(info.st_size)
    memory = []
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Returns a part of the bytes, which must lie in the file, or all of them.
  func read(_ range: Range<Int>? = nil) throws(FormatError) -> [UInt8] {
    let range = range ?? 0..<count
    if descriptor < 0 { return range.count == count ? memory : Array(memory[range]) }
    var fault: FormatError?
    let bytes = [UInt8](unsafeUninitializedCapacity: range.count) { buffer, initialized in
      do throws(FormatError) {
        try read(range, into: UnsafeMutableRawBufferPointer(buffer))
        initialized = range.count
      } catch { fault = error }
    }
    if let fault { throw fault }
    return bytes
  }

  /// Copies a part of the bytes, which must lie in the file, to memory of that size.
  func read(_ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(FormatError) {
    if descriptor < 0 { return memory[range].withUnsafeBytes { buffer.copyMemory(from: $0) } }
    var done = 0
    while done < range.count {
      let got = pread(descriptor, buffer.baseAddress! + done, range.count - done, off_t(range.lowerBound + done))
      if got > 0 {
        done += got
      } else if got == 0 {
        throw FormatError("became shorter while it was read; expected \(count) bytes; wait until it is written and run again")
      } else if errno != EINTR {
        throw FormatError("cannot be read (\(systemMessage(errno))); check the disk")
      }
    }
  }
}

/// A file that the reader reads piece by piece.
package final class FileStream {
  private let descriptor: Int32

  /// Opens a file.
  ///
  /// - Throws: `TorchError` that names `path` if the file cannot be opened.
  package init(_ path: String) throws(TorchError) {
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw TorchError(.io, "\(path) cannot be read (\(systemMessage(errno))); check the path") }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Reads the next bytes, at most `count`. It returns none at the file's end.
  package func read(_ count: Int) throws(FormatError) -> [UInt8] {
    var failure: Int32 = 0
    let piece = [UInt8](unsafeUninitializedCapacity: count) { buffer, produced in
      var got = -1
      repeat { got = Glibc.read(descriptor, buffer.baseAddress!, buffer.count) } while got < 0 && errno == EINTR
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
