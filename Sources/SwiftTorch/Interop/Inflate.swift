import CZlib

/// Decompression of deflate and gzip streams. Output is allocated as it arrives, never from a size that a file declares.
package enum Inflate {
  /// Deflate's best ratio: one bit for a match of 258 bytes can at most give 1032 bytes for each byte read.
  package static let maximumRatio = 1032

  /// Inflates a raw deflate stream that must fill `input` and give exactly `size` bytes.
  package static func deflate(_ input: ArraySlice<UInt8>, size: Int) throws(FormatError) -> [UInt8] {
    let result = try inflate(input, windowBits: -15, limit: size, overflow: .refuse)
    guard result.consumed == input.count else { throw FormatError("the compressed data ends before its declared size") }
    guard result.output.count == size else {
      throw FormatError("the compressed data gives \(result.output.count) bytes where \(size) are declared")
    }
    return result.output
  }

  /// Whether `bytes` begin as a gzip file does.
  package static func isGzip(_ bytes: [UInt8]) -> Bool {
    bytes.count >= 2 && bytes[0] == 0x1F && bytes[1] == 0x8B
  }

  /// Inflates a gzip file of one or more members, checking each member's CRC-32 and length.
  ///
  /// - Parameter limit: the most bytes the caller accepts; more is an error, found without allocating them.
  package static func gzip(_ input: [UInt8], limit: Int) throws(FormatError) -> [UInt8] {
    try inflate(input[...], windowBits: 15 + 16, limit: limit, overflow: .refuse).output
  }

  /// The first `count` bytes of a gzip file's contents, or fewer where it is shorter.
  package static func gzipPrefix(_ input: [UInt8], count: Int) throws(FormatError) -> [UInt8] {
    try inflate(input[...], windowBits: 15 + 16, limit: count, overflow: .stop).output
  }

  /// The CRC-32 that zip and gzip use.
  package static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    bytes.withUnsafeBufferPointer { UInt32(truncatingIfNeeded: crc32_z(0, $0.baseAddress, $0.count)) }
  }

  private enum Overflow { case refuse, stop }

  private static func inflate(
    _ input: ArraySlice<UInt8>, windowBits: Int32, limit: Int, overflow: Overflow
  ) throws(FormatError) -> (output: [UInt8], consumed: Int) {
    let stream = try Stream(windowBits: windowBits)
    var output: [UInt8] = []
    let possible = input.count.multipliedReportingOverflow(by: maximumRatio)
    let most = min(limit, possible.overflow ? limit : possible.partialValue)
    // One byte more than may come, so that one byte too many shows.
    let capacity = min(most, 1 << 17) + 1
    let chunk = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
    defer { chunk.deallocate() }

    let consumed = try input.withUnsafeBufferPointer { source throws(FormatError) -> Int in
      var fed = 0
      while true {
        if stream.pointer.pointee.avail_in == 0 && fed < source.count {
          let piece = min(source.count - fed, 1 << 30)
          stream.pointer.pointee.next_in = UnsafeMutablePointer(mutating: source.baseAddress! + fed)
          stream.pointer.pointee.avail_in = UInt32(piece)
          fed += piece
        }
        stream.pointer.pointee.next_out = chunk
        stream.pointer.pointee.avail_out = UInt32(capacity)
        let code = CZlib.inflate(stream.pointer, Z_NO_FLUSH)
        let produced = capacity - Int(stream.pointer.pointee.avail_out)
        let room = limit - output.count
        output.append(contentsOf: UnsafeBufferPointer(start: chunk, count: min(produced, room)))
        if overflow == .stop && output.count >= limit { return fed }
        guard produced <= room else { throw FormatError("the compressed data gives more than the \(limit) bytes expected") }
        switch code {
        case Z_OK:
          continue
        case Z_STREAM_END:
          let position = fed - Int(stream.pointer.pointee.avail_in)
          // Raw deflate is one stream; gzip files may be several one after another, padded with zeros.
          guard windowBits > 0, let next = source[position...].firstIndex(where: { $0 != 0 }) else { return position }
          guard next == position, position + 1 < source.count, source[position] == 0x1F, source[position + 1] == 0x8B else {
            throw FormatError("other bytes follow the end of the compressed data")
          }
          guard inflateReset(stream.pointer) == Z_OK else { throw FormatError("the decompressor could not be reset") }
        case Z_BUF_ERROR:
          // No progress is possible: with room for output this means that the input has run out.
          throw FormatError("the compressed data is cut off")
        case Z_MEM_ERROR:
          throw FormatError("there is not enough memory to decompress it")
        default:
          let detail = stream.pointer.pointee.msg.map { " (\(String(cString: $0)))" } ?? ""
          throw FormatError("the compressed data is damaged\(detail)")
        }
      }
    }
    return (output, consumed)
  }

  /// Owns zlib's state; on the heap because zlib keeps a pointer back to it.
  private final class Stream {
    let pointer = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)

    init(windowBits: Int32) throws(FormatError) {
      pointer.initialize(to: z_stream())
      guard inflateInit2_(pointer, windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
        throw FormatError("the decompressor could not be started")
      }
    }

    deinit {
      inflateEnd(pointer)
      pointer.deallocate()
    }
  }
}
