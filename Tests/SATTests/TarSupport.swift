import Foundation
import SwiftTorch
import Testing

/// Makes tar archives for tests, with the system's tar or by hand if no tar would write them.
enum TarFile {
  static func tar(_ arguments: [String], in folder: String) throws {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["tar"] + arguments
    process.currentDirectoryURL = URL(filePath: folder)
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0, "tar \(arguments)")
  }

  /// Archives files of many sizes and names as x.tgz in `folder`, and returns their sizes by name.
  static func archive(format: String, in folder: String) throws -> [String: Int] {
    // The name is too long for the 100 bytes of the oldest format. ustar splits it at a slash.
    let long = "set/\(String(repeating: "d", count: 90))/\(String(repeating: "f", count: 80)).bin"
    var files = ["set/empty": 0, "set/a.bin": 513, long: 70_001, "set/block": 1024]
    if format != "ustar" { files["set/\(String(repeating: "x", count: 240))"] = 5 }
    for (i, file) in files.sorted(by: { $0.key < $1.key }).enumerated() {
      let path = "\(folder)/\(file.key)"
      try FileManager.default.createDirectory(
        atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
      try Data((0..<file.value).map { UInt8(truncatingIfNeeded: $0 * 7 + i) }).write(to: URL(filePath: path))
    }
    try tar(["--format=\(format)", "-czf", "x.tgz", "set"], in: folder)
    return files
  }

  /// Makes an entry: a header of `ustar`, the contents and the padding.
  static func entry(_ name: String, _ contents: [UInt8] = [], type: Character = "0", size: String? = nil) -> [UInt8] {
    var header = [UInt8](repeating: 0, count: 512)
    func put(_ text: String, at offset: Int) { header.replaceSubrange(offset..<offset + text.utf8.count, with: text.utf8) }
    put(name, at: 0)
    put("0000644", at: 100)
    put(size ?? String(contents.count, radix: 8), at: 124)
    header[156] = type.asciiValue!
    put("ustar\u{0}00", at: 257)
    let sum = header.reduce(0) { $0 + Int($1) } + 8 * 32
    put(String(sum, radix: 8) + "\u{0} ", at: 148)
    return header + contents + [UInt8](repeating: 0, count: (512 - contents.count % 512) % 512)
  }

  /// Makes a gzip member that stores `bytes` uncompressed.
  static func gzip(_ bytes: [UInt8]) -> [UInt8] {
    func little(_ value: Int, _ width: Int) -> [UInt8] { (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
    let pieces = stride(from: 0, to: bytes.count, by: 60_000).map { Array(bytes[$0..<min($0 + 60_000, bytes.count)]) }
    var blocks: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3]
    for (i, piece) in pieces.enumerated() {
      blocks += [i == pieces.count - 1 ? 1 : 0] + little(piece.count, 2) + little(~piece.count, 2) + piece
    }
    return blocks + little(Int(Inflater.checksum(bytes[...])), 4) + little(bytes.count, 4)
  }

  /// Archives for a fuzzer to damage: a small one, one with GNU's long name and one with a pax header.
  static var seeds: [[UInt8]] {
    let small = entry("set/a", [1, 2, 3]) + entry("set", type: "5") + entry("set/b", [UInt8](repeating: 7, count: 600))
    let long = entry("././@LongLink", Array("set/long name\u{0}".utf8), type: "L") + entry("x", [1])
    let pax = entry("pax", Array("20 path=set/pax name\n9 size=1\n".utf8), type: "x") + entry("y", [1])
    return [small, long, pax]
  }

  /// Corrects the checksums in a damaged archive's headers, so that the damage passes the check.
  static func repairingChecksums(_ archive: [UInt8]) -> [UInt8] {
    var archive = archive
    for start in stride(from: 0, to: archive.count - 511, by: 512) where archive[start] != 0 {
      let sum = archive[start..<start + 512].enumerated().reduce(0) {
        $0 + ((148..<156).contains($1.offset) ? 32 : Int($1.element))
      }
      archive.replaceSubrange(start + 148..<start + 156, with: Array((String(sum, radix: 8) + "\u{0}       ").utf8.prefix(8)))
    }
    return archive
  }
}
