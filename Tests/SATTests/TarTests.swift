import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// Archives made by the system's tar, and ones no tar would make.
@Suite struct TarTests {
  typealias Scratch = ModelFileTests.Scratch

  static func tar(_ arguments: [String], in folder: String) throws {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["tar"] + arguments
    process.currentDirectoryURL = URL(filePath: folder)
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0, "tar \(arguments)")
  }

  /// A header of `ustar`, and what follows it.
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

  static func gzip(_ bytes: [UInt8]) -> [UInt8] {
    func little(_ value: Int, _ width: Int) -> [UInt8] { (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
    let pieces = stride(from: 0, to: bytes.count, by: 60_000).map { Array(bytes[$0..<min($0 + 60_000, bytes.count)]) }
    var blocks: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3]
    for (i, piece) in pieces.enumerated() {
      blocks += [i == pieces.count - 1 ? 1 : 0] + little(piece.count, 2) + little(~piece.count, 2) + piece
    }
    return blocks + little(Int(Inflate.checksum(bytes[...])), 4) + little(bytes.count, 4)
  }

  static func entries(_ archive: GzipStream) throws -> [(entry: TarReader.Entry, contents: [UInt8])] {
    var reader = TarReader(archive)
    var found: [(TarReader.Entry, [UInt8])] = []
    while let entry = try reader.next() { found.append((entry, try reader.read(entry.size))) }
    return found
  }

  @Test(arguments: ["ustar", "gnu", "pax"]) func systemArchivesAreRead(format: String) throws {
    let scratch = try Scratch()
    // Too long for the hundred bytes of the oldest format; ustar splits it at a slash.
    let long = "set/\(String(repeating: "d", count: 90))/\(String(repeating: "f", count: 80)).bin"
    var files = ["set/empty": 0, "set/a.bin": 513, long: 70_001, "set/block": 1024]
    if format != "ustar" { files["set/\(String(repeating: "x", count: 240))"] = 5 }
    for (i, file) in files.sorted(by: { $0.key < $1.key }).enumerated() {
      let path = "\(scratch.path)/\(file.key)"
      try FileManager.default.createDirectory(atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
      try Data((0..<file.value).map { UInt8(truncatingIfNeeded: $0 * 7 + i) }).write(to: URL(filePath: path))
    }
    try Self.tar(["--format=\(format)", "-czf", "x.tgz", "set"], in: scratch.path)
    let found = try Self.entries(GzipStream.open("\(scratch.path)/x.tgz"))
    #expect(Dictionary(uniqueKeysWithValues: found.filter { $0.entry.kind == .file }.map { ($0.entry.name, $0.contents.count) }) == files)
    for (entry, contents) in found where entry.kind == .file {
      #expect(contents == (try? [UInt8](Data(contentsOf: URL(filePath: "\(scratch.path)/\(entry.name)")))), "\(entry.name)")
    }
    let folder = "\(scratch.path)/out"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try ArchiveUnpacker().unpack("\(scratch.path)/x.tgz", into: folder)
    #expect(FileManager.default.contentsEqual(atPath: "\(folder)/a.bin", andPath: "\(scratch.path)/set/a.bin"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == files.count)
  }

  @Test(arguments: [
    (TarTests.entry("/etc/x", [1]), "leads out of the archive"), (TarTests.entry("set/../../x", [1]), "leads out of the archive"),
    (TarTests.entry("..", type: "5"), "leads out of the archive"), (TarTests.entry("set/link", type: "2"), "a link or a device"),
    (TarTests.entry("set/hard", type: "1"), "a link or a device"), (TarTests.entry("set/device", type: "3"), "a link or a device"),
    (TarTests.entry("set/a", [1]) + TarTests.entry("set/a", [2]), "twice"), (TarTests.entry("set/big", size: "77777777777"), "cut off"),
    (TarTests.entry("set/long", [1], size: "2000"), "cut off"), (TarTests.entry("set/x", [1], size: "9"), "a number that is none"),
    ([UInt8](repeating: 65, count: 1024), "is no tar archive"), (Array(TarTests.entry("set/a", [1])[..<300]), "cut off"),
    (TarTests.entry("set", type: "5"), "holds no files"), ([UInt8](repeating: 0, count: 1024), "holds no files"),
  ])
  func nothingEscapesAndNothingIsKept(archive: [UInt8], words: String) throws {
    let scratch = try Scratch()
    let path = "\(scratch.path)/x.tgz"
    try AtomicFile.write(Self.gzip(archive), to: path)
    let folder = "\(scratch.path)/in/side"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let sentence = PictureFolderTests.sentence { try ArchiveUnpacker().unpack(path, into: folder) }
    #expect(sentence.contains(words) && sentence.contains(path) && !sentence.contains("\n"), "\(sentence)")
    #expect(try FileManager.default.subpathsOfDirectory(atPath: scratch.path).sorted() == ["in", "in/side", "x.tgz"])
  }

  @Test func limitsHold() throws {
    let scratch = try Scratch()
    let path = "\(scratch.path)/x.tgz"
    try AtomicFile.write(Self.gzip((0..<5).flatMap { Self.entry("set/\($0)", [UInt8](repeating: 1, count: 100)) }), to: path)
    for unpacker in [ArchiveUnpacker(mostFiles: 4), ArchiveUnpacker(mostBytes: 499)] {
      #expect(PictureFolderTests.sentence { try unpacker.unpack(path, into: scratch.path) }.contains("holds more than"))
    }
    try ArchiveUnpacker(mostFiles: 5, mostBytes: 500).unpack(path, into: scratch.path)
    #expect(FileManager.default.fileExists(atPath: "\(scratch.path)/4"))
    try Data("not gzip".utf8).write(to: URL(filePath: path))
    #expect(PictureFolderTests.sentence { try ArchiveUnpacker().unpack(path, into: scratch.path) }.contains("damaged"))
  }

  @Test func aFetchedArchiveBecomesItsParts() throws {
    let scratch = try Scratch()
    let dataset = try DatasetCatalog.dataset(named: "imagenette")
    let root = DataRoot(option: scratch.path)
    try FileManager.default.createDirectory(atPath: root.appending("imagenette"), withIntermediateDirectories: true)
    let archive = root.appending(dataset.files[0].path)
    let picture = try FileBytes.read(Fixtures.path("pictures/baseline.jpg"))
    let names = ["train/n01440764/a.JPEG", "val/n01440764/b.JPEG"]
    try AtomicFile.write(Self.gzip(names.flatMap { Self.entry("imagenette2-320/\($0)", picture) }), to: archive)
    #expect(!dataset.isPresent(under: root))
    try dataset.unpack(under: root)
    #expect(dataset.isPresent(under: root) && !FileManager.default.fileExists(atPath: archive))
    #expect(try DataSource("imagenette").load(.test, root: root).classNames == ["tench"])
    try AtomicFile.write(Self.gzip(Self.entry("imagenette2-320/train/x/a.JPEG", picture)), to: archive)
    try FileManager.default.removeItem(atPath: root.appending("imagenette/val"))
    #expect(PictureFolderTests.sentence { try dataset.unpack(under: root) }.contains("imagenette/val was not in it"))
  }

  @Test func damagedArchivesAreSurvived() async {
    let run = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      let small = TarTests.entry("set/a", [1, 2, 3]) + TarTests.entry("set", type: "5") + TarTests.entry("set/b", [UInt8](repeating: 7, count: 600))
      let long = TarTests.entry("././@LongLink", Array("set/long name\u{0}".utf8), type: "L") + TarTests.entry("x", [1])
      let pax = TarTests.entry("pax", Array("20 path=set/pax name\n9 size=1\n".utf8), type: "x") + TarTests.entry("y", [1])
      fuzz("tar", seeds: [small, long, pax], iterations: 5000) { bytes, generator in
        // Half of them with checksums made right again, so that the damage gets past them.
        var damaged = bytes
        if generator.below(2) == 0 {
          for start in stride(from: 0, to: damaged.count - 511, by: 512) where damaged[start] != 0 {
            let sum = damaged[start..<start + 512].enumerated().reduce(0) { $0 + ((148..<156).contains($1.offset) ? 32 : Int($1.element)) }
            damaged.replaceSubrange(start + 148..<start + 156, with: Array((String(sum, radix: 8) + "\u{0}       ").utf8.prefix(8)))
          }
        }
        guard let found = try? TarTests.entries(GzipStream(TarTests.gzip(damaged))) else { return false }
        for (entry, _) in found {
          guard let parts = try? ArchiveUnpacker.path(entry) else { continue }
          precondition(!parts.contains("..") && !parts.contains { $0.contains("/") }, "\(entry.name)")
        }
        return !found.isEmpty
      }
    }
    print(String(decoding: run?.standardOutputContent ?? [], as: UTF8.self), terminator: "")
  }
}
