internal import CZlib

/// Decompresses one deflate or gzip stream piece by piece. It allocates output as it arrives, and never by a declared size.
package final class Inflater {
  package enum Format: Int32 {
    /// Deflate without a header, as in zip archives. The raw values are zlib's `windowBits`.
    case deflate = -15
    /// One member of a gzip file. zlib checks its CRC-32 and its length.
    case gzip = 31
  }

  /// The most output bytes per input byte of deflate. One bit can stand for a match of 258 bytes, so a byte gives at most 1032.
  package static let maximumRatio = 1032

  /// True after the end of the stream.
  package private(set) var isAtEnd = false
  /// The state of zlib. It is on the heap because zlib keeps a pointer to it.
  private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)

  package init(_ format: Format) throws(FormatError) {
    stream.initialize(to: z_stream())
    guard inflateInit2_(stream, format.rawValue, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      throw FormatError("the decompressor could not be started")
    }
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
  }

  /// Removes bytes from the front of `input` and returns what they hold: `count` bytes, or fewer at the end of stream or input.
  package func next(_ count: Int, from input: inout ArraySlice<UInt8>) throws(FormatError) -> [UInt8] {
    var code = Z_OK
    var used = 0
    let piece = [UInt8](unsafeUninitializedCapacity: count) { buffer, produced in
      input.withUnsafeBufferPointer { source in
        // zlib counts in 32 bits.
        let (given, room) = (min(source.count, 1 << 30), min(count, 1 << 30))
        stream.pointee.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
        stream.pointee.avail_in = UInt32(given)
        stream.pointee.next_out = buffer.baseAddress
        stream.pointee.avail_out = UInt32(room)
        code = inflate(stream, Z_NO_FLUSH)
        used = given - Int(stream.pointee.avail_in)
        produced = room - Int(stream.pointee.avail_out)
      }
    }
    input = input.dropFirst(used)
    switch code {
    // zlib returns Z_BUF_ERROR if it needs more input.
    case Z_OK, Z_BUF_ERROR: break
    case Z_STREAM_END: isAtEnd = true
    case Z_MEM_ERROR: throw FormatError("there is not enough memory to decompress it")
    default:
      let detail = stream.pointee.msg.map { " (\(String(cString: $0)))" } ?? ""
      throw FormatError("the compressed data is damaged\(detail); copy or download the file again")
    }
    return piece
  }

  /// Begins another stream of the same format.
  package func restart() throws(FormatError) {
    guard inflateReset(stream) == Z_OK else { throw FormatError("the decompressor could not be reset") }
    isAtEnd = false
  }

  /// Decompresses deflate without a header. The stream must fill `input` and give exactly `size` bytes.
  package static func deflate(_ input: ArraySlice<UInt8>, size: Int) throws(FormatError) -> [UInt8] {
    let inflater = try Inflater(.deflate)
    var rest = input
    var output: [UInt8] = []
    while !inflater.isAtEnd {
      // The request has one extra byte, so a stream that is too long shows up.
      let wanted = min(size - output.count, 1 << 17) + 1
      let piece = try inflater.next(wanted, from: &rest)
      guard piece.count <= size - output.count else {
        throw FormatError("the compressed data gives more than the \(size) bytes expected; copy or download the file again")
      }
      output += piece
      guard inflater.isAtEnd || piece.count == wanted || !rest.isEmpty else { throw cutOff }
    }
    guard rest.isEmpty else {
      throw FormatError("the compressed data ends before its declared size; copy or download the file again")
    }
    guard output.count == size else {
      throw FormatError(
        "the compressed data gives \(output.count) bytes where \(size) are declared; copy or download the file again")
    }
    return output
  }

  /// The error for a stream with input that ends too early.
  package static var cutOff: FormatError { FormatError("the compressed data is cut off; copy or download the file again") }

  /// Returns the CRC-32 of `bytes`, as zip and gzip use it.
  package static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    bytes.withUnsafeBytes { checksum($0, after: 0) }
  }

  /// Returns the CRC-32 of bytes that follow those with the checksum `before`.
  static func checksum(_ bytes: UnsafeRawBufferPointer, after before: UInt32) -> UInt32 {
    UInt32(truncatingIfNeeded: crc32_z(UInt(before), bytes.assumingMemoryBound(to: UInt8.self).baseAddress, bytes.count))
  }
}
