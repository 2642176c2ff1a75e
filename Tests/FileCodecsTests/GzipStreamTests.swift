import SwiftTorch
import Testing

@testable import FileCodecs

/// Reads gzip files, whole and in pieces.
@Suite struct GzipStreamTests {
  /// The text "hello hello hello\n", compressed by `gzip -n`.
  static let hello: [UInt8] = [
    0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 0xCB, 0x48, 0xCD, 0xC9, 0xC9, 0x57, 0xC8, 0x40, 0x90, 0x5C, 0, 0x3B, 0x7C, 0x8A, 0xDF, 0x12,
    0, 0, 0,
  ]

  static func problem(_ file: [UInt8], limit: Int) -> String {
    message { try GzipStream.contents(of: file, limit: limit) }
  }

  @Test func gzipMembersFollowEachOther() throws {
    let text = Array("hello hello hello\n".utf8)
    #expect(try GzipStream.contents(of: Self.hello, limit: 18) == text)
    #expect(try GzipStream.contents(of: Self.hello + Self.hello + [0, 0, 0], limit: 100) == text + text)
    #expect(try GzipStream(Self.hello).read(5) == Array("hello".utf8))
    #expect(Self.problem(Self.hello, limit: 17).contains("more than the 17 bytes"))
    #expect(Self.problem(Self.hello + [1], limit: 100).contains("other bytes follow"))
    #expect(Self.problem(Array(Self.hello.dropLast()), limit: 100).contains("cut off"))
    var wrong = Self.hello
    wrong[wrong.count - 6] ^= 1
    #expect(Self.problem(wrong, limit: 100).contains("damaged"))
  }

  /// Reads of every size give the same bytes.
  @Test(arguments: [1, 2, 5, 17, 18, 19, 100]) func piecesJoin(size: Int) throws {
    let stream = try GzipStream(Self.hello + [0, 0] + Self.hello)
    var pieces: [UInt8] = []
    while case let piece = try stream.read(size), !piece.isEmpty {
      #expect(piece.count == size || pieces.count + piece.count == 36)
      pieces += piece
    }
    #expect(pieces == Array("hello hello hello\nhello hello hello\n".utf8))
    #expect(try stream.read(size).isEmpty, "the end stays the end")
  }
}
