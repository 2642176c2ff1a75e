/// A whole file in memory and its kind. Its readers share one parse of a zip archive's directory.
public struct FileContents: Sendable {
  /// The file, as messages call it.
  public let name: String
  public let bytes: [UInt8]
  /// What the file is, found by reading it. A file that is cut off keeps its kind, so that its reader can say what is missing.
  public let kind: FileKind
  /// The directory of a file that begins as a zip archive does, or what is wrong with it; nil for other files.
  private let directory: Result<ZipArchive, FormatError>?

  public init(_ bytes: [UInt8], name: String) {
    self.name = name
    self.bytes = bytes
    directory = FileKind.beginsAsZip(bytes) ? Result { () throws(FormatError) in try ZipArchive(bytes) } : nil
    kind = directory.map { FileKind.ofZip(bytes, archive: try? $0.get()) } ?? FileKind.ofOther(bytes)
  }

  /// Reads the file at `path`.
  ///
  /// - Parameter expected: what the caller hoped to find ("a model"), for the message.
  /// - Throws: `TorchError` when the file cannot be read at all; a file of no known kind is `.unknown`.
  public static func read(_ path: String, expecting expected: String = "a file") throws(TorchError) -> FileContents {
    FileContents(try FileBytes.read(path, expecting: expected), name: path)
  }

  /// The file as a zip archive.
  func archive() throws(FormatError) -> ZipArchive {
    if let directory { return try directory.get() }
    return try ZipArchive(bytes)
  }
}
