import Testing

@testable import SwiftTorch

@Suite struct CheckpointZipTests {
  /// The letter "a" 40 times, deflated.
  private static let deflated: [UInt8] = [0x4B, 0x4C, 0x24, 0x0E, 0, 0]
  private static let letters = [UInt8](repeating: 0x61, count: 40)

  private static func archive(_ entries: ZipBuilder.Entry..., isZip64: Bool = false) -> [UInt8] {
    ZipBuilder(entries: entries, isZip64: isZip64).bytes()
  }

  private static func problem(_ bytes: [UInt8]) -> String {
    message {
      let archive = try ZipArchive(bytes)
      return try archive.entries.map { try archive.contents(of: $0) }
    }
  }

  private static let letterEntry = ZipBuilder.Entry(
    name: "letters", data: deflated, method: 8, size: 40, checksum: Inflater.checksum(letters[...]))

  @Test(arguments: [false, true])
  func storedAndDeflatedEntries(isZip64: Bool) throws {
    let bytes = Self.archive(
      .init(name: "plain", data: [1, 2, 3]), Self.letterEntry, .init(name: "folder/", data: []), isZip64: isZip64)
    let archive = try ZipArchive(bytes)
    #expect(archive.entries.map(\.name) == ["plain", "letters", "folder/"])
    #expect(try Array(archive.contents(of: #require(archive.entry("plain")))) == [1, 2, 3])
    #expect(try Array(archive.contents(of: #require(archive.entry("letters")))) == Self.letters)
    #expect(archive.entry("other") == nil)
    // PyTorch writes 0 for a checksum that it does not compute.
    let unchecked = try ZipArchive(Self.archive(.init(name: "plain", data: [1, 2, 3], checksum: 0), isZip64: isZip64))
    #expect(try unchecked.contents(of: unchecked.entries[0]) == [1, 2, 3])
    // Other bytes may follow the archive.
    #expect(try ZipArchive(bytes + [UInt8](repeating: 0, count: 4096)).entries.count == 3)
    // A comment may follow the end record.
    var commented = bytes
    commented[commented.count - 2] = 5
    #expect(try ZipArchive(commented + Array("hello".utf8)).entries.count == 3)
  }

  @Test func everyCutIsNoticed() {
    let bytes = Self.archive(.init(name: "plain", data: [1, 2, 3]), Self.letterEntry)
    for length in 0..<bytes.count {
      #expect(Self.problem(Array(bytes.prefix(length))).contains("cut off"), "\(length) of \(bytes.count) bytes")
    }
  }

  @Test func lyingHeadersAreRefused() {
    #expect(Self.problem(Self.archive(.init(name: "x", data: [1, 2], checksum: 7))).contains("checksum of 'x'"))
    #expect(Self.problem(Self.archive(.init(name: "x", data: [1, 2], size: 3))).contains("impossible size"))
    #expect(
      Self.problem(Self.archive(.init(name: "x", data: Self.deflated, method: 8, size: 1 << 40), isZip64: true)).contains(
        "impossible size"))
    #expect(
      Self.problem(Self.archive(.init(name: "x", data: Self.deflated, method: 8, size: 39))).contains("more than the 39 bytes"))
    #expect(
      Self.problem(Self.archive(.init(name: "x", data: Self.deflated, method: 8, size: 41))).contains("gives 40 bytes where 41"))
    #expect(Self.problem(Self.archive(.init(name: "x", data: [0xFF, 0xFF], method: 8, size: 2))).contains("damaged"))
    #expect(Self.problem(Self.archive(.init(name: "x", data: [1], method: 12))).contains("compression method 12"))
    #expect(Self.problem(Self.archive(.init(name: "x", data: [1], flags: 1))).contains("encrypted"))
    #expect(Self.problem(Self.archive(.init(name: "x", data: [1]), .init(name: "x", data: [2]))).contains("twice"))
    #expect(
      Self.problem(Self.archive(.init(name: "x", data: [1]), .init(name: "y", data: [1], headerOffset: 0))).contains(
        "two different names"))
  }

  /// Two directory entries share bytes: the header of the second lies in the data of the first.
  @Test func overlappingEntriesAreRefused() {
    let inner = Self.archive(.init(name: "inner", data: [1, 2, 3]))
    let local = Array(inner[..<(30 + 5 + 3)])
    let bytes = Self.archive(.init(name: "outer", data: local), .init(name: "inner", data: [1, 2, 3], headerOffset: 30 + 5))
    #expect(Self.problem(bytes).contains("overlap"))
  }
}
