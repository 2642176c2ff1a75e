/// A file with its kind. Its bytes stay on the disk until a reader needs them.
public struct FileContents: Sendable {
  /// The file's name in messages.
  public let name: String
  let source: FileSource
  /// The kind of the file, by its contents. A file that is cut off keeps its kind, so its reader can say what is missing.
  public let kind: FileKind
  /// The directory of a zip archive, or the fault in it; nil for a file that does not begin as a zip archive does.
  private let directory: Result<ZipArchive, FormatError>?

  /// Takes the bytes of a file from memory.
  public init(_ bytes: [UInt8], name: String) {
    // Bytes in memory can always be read.
    try! self.init(FileSource(bytes), name: name)
  }

  private init(_ source: FileSource, name: String) throws(FormatError) {
    self.name = name
    self.source = source
    let start = try source.read(0..<min(source.count, FileKind.neededBytes))
    directory = FileKind.beginsAsZip(start) ? Result { () throws(FormatError) in try ZipArchive(source) } : nil
    kind = directory.map { FileKind.ofZip(start, archive: try? $0.get()) } ?? FileKind.ofOther(start)
  }

  /// Opens the file at `path`.
  ///
  /// - Parameter path: the path of the file. A relative path starts at the working folder.
  /// - Parameter expected: the contents that the caller expects ("a model"), for the message.
  /// - Throws: `TorchError` if the file cannot be read. A file of unknown kind is not an error.
  public static func read(_ path: String, expecting expected: String = "a file") throws(TorchError) -> FileContents {
    let source = try FileSource(RawPath(path), expecting: expected)
    return try naming(path) { () throws(FormatError) in try FileContents(source, name: path) }
  }

  /// Returns all bytes of the file.
  public func bytes() throws(TorchError) -> [UInt8] {
    try naming(name) { () throws(FormatError) in try source.read() }
  }

  /// Returns the file as a zip archive.
  func archive() throws(FormatError) -> ZipArchive {
    if let directory { return try directory.get() }
    return try ZipArchive(source)
  }
}
