import Glibc

/// A path as Linux has it: bytes, which need not be UTF-8.
package struct RawPath: Sendable, Hashable, Comparable, CustomStringConvertible {
  private let bytes: [UInt8]

  private init(bytes: [UInt8]) { self.bytes = bytes }

  package init(_ path: String) { self.init(bytes: Array(path.utf8)) }

  /// The path for messages; bytes that are not UTF-8 become replacement characters.
  package var description: String { String(decoding: bytes, as: UTF8.self) }

  /// The path as the C library takes it.
  var characters: [CChar] { (bytes + [0]).map { CChar(bitPattern: $0) } }

  package static func < (left: RawPath, right: RawPath) -> Bool { left.bytes.lexicographicallyPrecedes(right.bytes) }

  package func appending(_ name: RawPath) -> RawPath {
    RawPath(bytes: bytes.last == UInt8(ascii: "/") ? bytes + name.bytes : bytes + [UInt8(ascii: "/")] + name.bytes)
  }

  /// The part after the last dot in lower case; empty without a dot.
  package var ending: String {
    guard let dot = bytes.lastIndex(of: UInt8(ascii: ".")) else { return "" }
    return String(decoding: bytes[(dot + 1)...], as: UTF8.self).lowercased()
  }

  /// True for a name that begins with a dot, which tools of Unix hide.
  package var isHidden: Bool { bytes.first == UInt8(ascii: ".") }

  /// A name in a folder.
  package struct Entry: Sendable {
    package let name: RawPath
    /// True for a folder and for a link to one.
    package let isFolder: Bool
  }

  /// Returns the names in this folder without "." and "..", in the order of their bytes.
  ///
  /// - Throws: `TorchError` that names the folder if it cannot be listed.
  package func entries() throws(TorchError) -> [Entry] {
    guard let stream = opendir(characters) else {
      throw TorchError(.io, "\(self) cannot be listed (\(systemMessage(errno))); expected a folder; check the path")
    }
    defer { closedir(stream) }
    var found: [Entry] = []
    while true {
      errno = 0
      guard let entry = readdir(stream) else { break }
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { RawPath(bytes: Array($0.prefix { $0 != 0 })) }
      guard name.bytes != Array(".".utf8), name.bytes != Array("..".utf8) else { continue }
      let kind = Int32(entry.pointee.d_type)
      found.append(Entry(name: name, isFolder: kind == Int32(DT_DIR) || (kind != Int32(DT_REG) && appending(name).isFolder)))
    }
    guard errno == 0 else { throw TorchError(.io, "\(self) cannot be listed (\(systemMessage(errno))); check the disk") }
    return found.sorted { $0.name < $1.name }
  }

  private var isFolder: Bool {
    var info = stat()
    return stat(characters, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
  }
}
