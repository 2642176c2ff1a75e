internal import CZlib
import Glibc

/// The contents of a gzip file, unpacked piece by piece: neither the file nor its contents are ever whole in memory.
package final class GzipStream {
  private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
  private let refill: () throws(FormatError) -> [UInt8]
  private let cleanUp: () -> Void
  private var input: [UInt8] = []
  private var position = 0
  private var isAtEnd = false

  /// Opens a file.
  ///
  /// - Throws: `TorchError` naming `path` when it cannot be read.
  package static func open(_ path: String) throws(TorchError) -> GzipStream {
    let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw TorchError(.io, "\(path): cannot be read (\(systemMessage(errno))); check the path") }
    return try naming(path) { () throws(FormatError) in
      try GzipStream(cleanUp: { _ = close(descriptor) }) { () throws(FormatError) in
        var failure: Int32 = 0
        let piece = [UInt8](unsafeUninitializedCapacity: 1 << 18) { buffer, count in
          var got = -1
          repeat { got = Glibc.read(descriptor, buffer.baseAddress!, buffer.count) } while got < 0 && errno == EINTR
          if got < 0 { failure = errno }
          count = max(got, 0)
        }
        guard failure == 0 else { throw FormatError("cannot be read (\(systemMessage(failure))); check the disk") }
        return piece
      }
    }
  }

  /// Over bytes in memory.
  package convenience init(_ bytes: [UInt8]) throws(FormatError) {
    var rest: [UInt8]? = bytes
    try self.init(cleanUp: {}) {
      defer { rest = nil }
      return rest ?? []
    }
  }

  /// - Parameter refill: gives the next bytes of the file, none at its end.
  private init(cleanUp: @escaping () -> Void, refill: @escaping () throws(FormatError) -> [UInt8]) throws(FormatError) {
    self.refill = refill
    self.cleanUp = cleanUp
    stream.initialize(to: z_stream())
    guard inflateInit2_(stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      throw FormatError("the decompressor could not be started")
    }
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
    cleanUp()
  }

  /// The next `count` bytes of the contents; fewer only at their end.
  package func read(_ count: Int) throws(FormatError) -> [UInt8] {
    var output: [UInt8] = []
    while output.count < count && !isAtEnd {
      // A piece at a time, so that a length which a damaged file declares takes no memory before the bytes are there.
      let wanted = min(count - output.count, 1 << 18)
      var code = Z_OK
      let piece = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, produced in
        input.withUnsafeBufferPointer { source in
          stream.pointee.next_in = UnsafeMutablePointer(mutating: source.baseAddress.map { $0 + position })
          stream.pointee.avail_in = UInt32(source.count - position)
          stream.pointee.next_out = buffer.baseAddress
          stream.pointee.avail_out = UInt32(wanted)
          code = inflate(stream, Z_NO_FLUSH)
          position = source.count - Int(stream.pointee.avail_in)
        }
        produced = wanted - Int(stream.pointee.avail_out)
      }
      output += piece
      switch code {
      case Z_OK, Z_BUF_ERROR:
        if position == input.count, piece.isEmpty || stream.pointee.avail_out > 0 {
          try refillInput()
          guard !input.isEmpty else { throw FormatError("the compressed data is cut off; copy or download the file again") }
        }
      case Z_STREAM_END: try beginNextMember()
      case Z_MEM_ERROR: throw FormatError("there is not enough memory to decompress it")
      default: throw FormatError("the compressed data is damaged; copy or download the file again")
      }
    }
    return output
  }

  private func refillInput() throws(FormatError) {
    input = try refill()
    position = 0
  }

  /// A gzip file may be several members one after another; zeros that pad the last are skipped.
  private func beginNextMember() throws(FormatError) {
    while true {
      while position < input.count && input[position] == 0 { position += 1 }
      if position < input.count { break }
      try refillInput()
      if input.isEmpty {
        isAtEnd = true
        return
      }
    }
    guard input[position] == 0x1F else { throw FormatError("other bytes follow the end of the compressed data") }
    guard inflateReset(stream) == Z_OK else { throw FormatError("the decompressor could not be reset") }
  }
}
