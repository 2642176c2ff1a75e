internal import FileCodecs
internal import Foundation
internal import SwiftTorch

/// An unpacker for fetched archives of folders and files; it never writes outside its target folder.
struct ArchiveUnpacker {
  /// The largest number of files and of bytes in an archive.
  var mostFiles = 200_000
  var mostBytes = 8 << 30

  /// Unpacks `archive` into `folder` without the archive's outermost folder.
  ///
  /// Files first go to a temporary folder; they move to their final place only when the whole archive is right.
  /// - Throws: an error that names the archive when it is damaged, is too large, has links, or has a path that leads out of it.
  func unpack(_ archive: String, into folder: String) throws {
    let manager = FileManager.default
    let temporary = "\(folder)/.unpacking-\(ProcessInfo.processInfo.processIdentifier)"
    defer { try? manager.removeItem(atPath: temporary) }
    try create(temporary)
    try extract(archive, to: temporary)
    for entry in try manager.contentsOfDirectory(atPath: temporary).sorted() {
      let target = "\(folder)/\(entry)"
      // An earlier, unfinished attempt may have left this.
      if manager.fileExists(atPath: target) { try manager.removeItem(atPath: target) }
      do {
        try manager.moveItem(atPath: "\(temporary)/\(entry)", toPath: target)
      } catch {
        throw SATError("cannot move the unpacked files to \(target): \(SystemError.reason(error))")
      }
    }
  }

  private func extract(_ archive: String, to root: String) throws {
    var tar = TarReader(try GzipStream.open(archive))
    var (files, bytes) = (0, 0)
    while let entry = try naming(archive, { () throws(FormatError) in try tar.next() }) {
      let parts = try naming(archive) { () throws(FormatError) in try Self.path(entry) }
      guard !parts.isEmpty else { continue }
      let path = "\(root)/\(parts.joined(separator: "/"))"
      if entry.kind == .folder {
        try create(path)
        continue
      }
      files += 1
      bytes &+= entry.size
      guard files <= mostFiles, entry.size <= mostBytes, bytes <= mostBytes else {
        throw SATError(
          "\(archive): holds more than \(mostFiles) files or \(mostBytes) bytes, too many for a data set; nothing of it was kept")
      }
      try create((path as NSString).deletingLastPathComponent)
      try write(&tar, entry, archive, to: path)
    }
    guard files > 0 else { throw SATError("\(archive): holds no files") }
  }

  /// Returns the components of an entry's path below the outermost folder; empty for that folder itself.
  static func path(_ entry: TarReader.Entry) throws(FormatError) -> [String] {
    let parts = entry.name.split(separator: "/", omittingEmptySubsequences: true).map(String.init).filter { $0 != "." }
    guard !entry.name.hasPrefix("/"), !parts.contains(".."), !entry.name.utf8.contains(0) else {
      throw FormatError("holds the path \(quoted(entry.name)), which leads out of the archive; nothing of it was kept")
    }
    guard entry.kind == .file || entry.kind == .folder else {
      throw FormatError(
        "holds \(quoted(entry.name)), which is a link or a device; expected files and folders, and nothing of it was kept")
    }
    return Array(parts.dropFirst())
  }

  private func create(_ folder: String) throws { try OutputFolder.create(folder, advice: "choose a writable one with --data-root") }

  private func write(_ tar: inout TarReader, _ entry: TarReader.Entry, _ archive: String, to path: String) throws {
    guard !FileManager.default.fileExists(atPath: path), FileManager.default.createFile(atPath: path, contents: nil),
      let handle = FileHandle(forWritingAtPath: path)
    else {
      throw SATError("\(archive): holds \(quoted(entry.name)) twice, or it cannot be written; nothing of it was kept")
    }
    defer { try? handle.close() }
    while true {
      let piece = try naming(archive) { () throws(FormatError) in try tar.read(1 << 18) }
      if piece.isEmpty { return }
      do {
        try handle.write(contentsOf: Data(piece))
      } catch {
        throw SATError("cannot write \(path): \(SystemError.reason(error)); free some space and fetch again")
      }
    }
  }
}
