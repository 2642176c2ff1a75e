package import SwiftTorch

/// The contents of a gzip file, decompressed piece by piece: neither the file nor its contents are ever whole in memory.
package final class GzipStream {
  private let inflater: Inflater
  /// Gives the next bytes of the file, none at its end.
  private let refill: () throws(FormatError) -> [UInt8]
  private var input: ArraySlice<UInt8> = []

  private init(refill: @escaping () throws(FormatError) -> [UInt8]) throws(FormatError) {
    inflater = try Inflater(.gzip)
    self.refill = refill
  }

  /// Opens a file.
  ///
  /// - Throws: `TorchError` naming `path` when it cannot be read.
  package static func open(_ path: String) throws(TorchError) -> GzipStream {
    let file = try FileStream(path)
    return try naming(path) { () throws(FormatError) in
      try GzipStream { () throws(FormatError) in try file.read(1 << 18) }
    }
  }

  /// Reads bytes in memory.
  package convenience init(_ bytes: [UInt8]) throws(FormatError) {
    try self.init { [] }
    input = bytes[...]
  }

  /// The whole contents of a gzip file.
  ///
  /// - Parameter limit: the most bytes the caller accepts; more is an error, found without allocating them.
  package static func contents(of bytes: [UInt8], limit: Int) throws(FormatError) -> [UInt8] {
    let stream = try GzipStream(bytes)
    let contents = try stream.read(limit)
    guard try stream.read(1).isEmpty else {
      throw FormatError("the compressed data gives more than the \(limit) bytes expected; copy or download the file again")
    }
    return contents
  }

  /// The next `count` bytes of the contents; fewer only at their end.
  package func read(_ count: Int) throws(FormatError) -> [UInt8] {
    var output: [UInt8] = []
    while output.count < count {
      if inflater.isAtEnd {
        guard try beginsNextMember() else { break }
      }
      // A piece at a time, so that a length which a damaged file declares takes no memory before the bytes are there.
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

  /// Steps over the zeros that may pad a member. A gzip file may be several members one after another.
  private func beginsNextMember() throws(FormatError) -> Bool {
    while true {
      input = input.drop { $0 == 0 }
      if !input.isEmpty { break }
      input = try refill()[...]
      if input.isEmpty { return false }
    }
    guard input.first == 0x1F else {
      throw FormatError("other bytes follow the end of the compressed data; copy or download the file again")
    }
    try inflater.restart()
    return true
  }
}
