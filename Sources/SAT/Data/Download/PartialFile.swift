internal import Foundation
internal import Glibc

/// The unfinished copy of a download: `NAME.part` beside the target, locked during the download.
///
/// The note `NAME.part.source` keeps the source of the bytes.
final class PartialFile {
  let path: String
  private let target: String
  private let handle: FileHandle
  private(set) var size: Int64

  private var notePath: String { path + ".source" }

  /// Opens or creates the part file of `target`; creates its folder if needed.
  init(of target: String) throws(SATError) {
    self.target = target
    path = target + ".part"
    let folder = (target as NSString).deletingLastPathComponent
    try OutputFolder.create(folder.isEmpty ? "." : folder, advice: "choose a writable one with --data-root")
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw SATError("cannot write \(path): \(SystemError.reason(errno)); choose a writable folder with --data-root")
    }
    handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      throw SATError("another process is fetching \(target); wait until it is done")
    }
    do { size = Int64(try handle.seekToEnd()) } catch { throw SATError("cannot read \(path): \(SystemError.reason(error))") }
  }

  /// Returns the validator for `If-Range` when the download resumes from `url`; nil when the bytes came from another address.
  func validator(for url: String) -> String? {
    guard let note = try? String(contentsOfFile: notePath, encoding: .utf8) else { return nil }
    let lines = note.split(separator: "\n", omittingEmptySubsequences: false)
    return lines.count >= 2 && lines[0] == url && !lines[1].isEmpty ? String(lines[1]) : nil
  }

  func recordSource(url: String, validator: String?) throws(SATError) {
    do {
      try "\(url)\n\(validator ?? "")\n".write(toFile: notePath, atomically: true, encoding: .utf8)
    } catch {
      throw SATError("cannot write \(notePath): \(SystemError.reason(error))")
    }
  }

  func append(_ data: Data) throws(SATError) {
    do {
      try handle.write(contentsOf: data)
    } catch {
      throw SATError("cannot write \(path) after \(size) bytes: \(SystemError.reason(error)); free some space and fetch again")
    }
    size += Int64(data.count)
  }

  /// Deletes the bytes that have arrived.
  func empty() throws(SATError) {
    guard size > 0 else { return }
    do { try handle.truncate(atOffset: 0) } catch { throw SATError("cannot empty \(path): \(SystemError.reason(error))") }
    size = 0
    unlink(notePath)
  }

  func remove() {
    unlink(path)
    unlink(notePath)
  }

  /// Gives the complete file its final name in one step and replaces an existing file.
  func commit() throws(SATError) {
    do { try handle.synchronize() } catch { throw SATError("cannot finish \(path): \(SystemError.reason(error))") }
    guard rename(path, target) == 0 else { throw SATError("cannot rename \(path) to \(target): \(SystemError.reason(errno))") }
    unlink(notePath)
  }
}
