package import SwiftTorch

/// Decompresses a gzip file piece by piece. Memory never holds the whole file or its whole contents.
package final class GzipStream {
  private let inflater: Inflater
  /// Returns the next bytes of the file, and none at its end.
  private let refill: () throws(FormatError) -> [UInt8]
  private var input: ArraySlice<UInt8> = []

  private init(refill: @escaping () throws(FormatError) -> [UInt8]) throws(FormatError) {
    inflater = try Inflater(.gzip)
    self.refill = refill
  }

  /// Opens a file. An error names `path`.
  package static func open(_ path: String) throws(TorchError) -> GzipStream {
    let file = try FileStream(path)
    return try naming(path) { () throws(FormatError) in try GzipStream { () throws(FormatError) in try file.read(1 << 18) } }
  }

  /// Makes a stream of bytes in memory.
  package convenience init(_ bytes: [UInt8]) throws(FormatError) {
    try self.init { [] }
    input = bytes[...]
  }

  /// Returns the whole contents of a gzip file. More bytes than `limit` are an error, and the function does not allocate them.
  package static func contents(of bytes: [UInt8], limit: Int) throws(FormatError) -> [UInt8] {
    let stream = try GzipStream(bytes)
    let contents = try stream.read(limit)
    guard try stream.read(1).isEmpty else {
      throw FormatError("the compressed data gives more than the \(limit) bytes expected; copy or download the file again")
    }
    return contents
  }

  /// Returns the next `count` bytes of the contents, and fewer only at their end.
  package func read(_ count: Int) throws(FormatError) -> [UInt8] {
    var output: [UInt8] = []
    while output.count < count {
      if inflater.isAtEnd { guard try beginsNextMember() else { break } }
      // The loop reads in pieces, so a wrong length in a damaged file cannot allocate memory before the bytes exist.
      let wanted = min(count - output.count, 1 << 18)
      let piece = try inflater.next(wanted, from: &input)
      output += piece
      if !inflater.isAtEnd, input.isEmpty, piece.count < wanted {
        input = try refill()[...]
        guard !input.isEmpty else { throw Inflater.cutOff }
      }
    }
    return output
  }

  /// Steps over the zeros that may pad a member, and begins the next of several members. Returns false at the end of the file.
  private func beginsNextMember() throws(FormatError) -> Bool {
    input = input.drop { $0 == 0 }
    while input.isEmpty {
      let more = try refill()
      if more.isEmpty { return false }
      input = more.drop { $0 == 0 }
    }
    guard input.first == 0x1F else {
      throw FormatError("other bytes follow the end of the compressed data; copy or download the file again")
    }
    try inflater.restart()
    return true
  }
}
