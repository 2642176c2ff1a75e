/// A whole file in memory, with its kind. The readers of a zip archive share one parse of its directory.
public struct FileContents: Sendable {
  /// The file's name in messages.
  public let name: String
  public let bytes: [UInt8]
  /// The kind of the file, by its contents. A file that is cut off keeps its kind, so its reader can say what is missing.
  public let kind: FileKind
  /// The directory of a zip archive, or the fault in it; nil for a file that does not begin as a zip archive does.
  private let directory: Result<ZipArchive, FormatError>?

  public init(_ bytes: [UInt8], name: String) {
    self.name = name
    self.bytes = bytes
    directory = FileKind.beginsAsZip(bytes) ? Result { () throws(FormatError) in try ZipArchive(bytes) } : nil
    kind = directory.map { FileKind.ofZip(bytes, archive: try? $0.get()) } ?? FileKind.ofOther(bytes)
  }

  /// Reads the file at `path`.
  ///
  /// - Parameter expected: the contents that the caller expects ("a model"), for the message.
  /// - Throws: `TorchError` if the file cannot be read. A file of unknown kind is not an error.
  public static func read(_ path: String, expecting expected: String = "a file") throws(TorchError) -> FileContents {
    FileContents(try FileBytes.read(path, expecting: expected), name: path)
  }

  /// Returns the file as a zip archive.
  func archive() throws(FormatError) -> ZipArchive {
    if let directory { return try directory.get() }
    return try ZipArchive(bytes)
  }
}
