import FileCodecs
import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// Tests with archives from the system's tar and with archives that no tar would make.
@Suite struct ArchiveUnpackerTests {
  @Test(arguments: ["ustar", "gnu", "pax"]) func systemArchivesAreUnpacked(format: String) throws {
    let scratch = try Scratch()
    let files = try TarFile.archive(format: format, in: scratch.path)
    let folder = "\(scratch.path)/out"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try ArchiveUnpacker().unpack("\(scratch.path)/x.tgz", into: folder)
    #expect(FileManager.default.contentsEqual(atPath: "\(folder)/a.bin", andPath: "\(scratch.path)/set/a.bin"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == files.count)
  }

  @Test(arguments: [
    (TarFile.entry("/etc/x", [1]), "leads out of the archive"), (TarFile.entry("set/../../x", [1]), "leads out of the archive"),
    (TarFile.entry("..", type: "5"), "leads out of the archive"), (TarFile.entry("set/link", type: "2"), "a link or a device"),
    (TarFile.entry("set/hard", type: "1"), "a link or a device"), (TarFile.entry("set/device", type: "3"), "a link or a device"),
    (TarFile.entry("set/a", [1]) + TarFile.entry("set/a", [2]), "twice"),
    (TarFile.entry("set/big", size: "77777777777"), "cut off"),
    (TarFile.entry("set/long", [1], size: "2000"), "cut off"), (TarFile.entry("set/x", [1], size: "9"), "a damaged number"),
    ([UInt8](repeating: 65, count: 1024), "is not a tar archive"), (Array(TarFile.entry("set/a", [1])[..<300]), "cut off"),
    (TarFile.entry("set", type: "5"), "holds no files"), ([UInt8](repeating: 0, count: 1024), "holds no files"),
  ])
  func nothingEscapesAndNothingIsKept(archive: [UInt8], words: String) throws {
    let scratch = try Scratch()
    let path = "\(scratch.path)/x.tgz"
    try AtomicFile.write(TarFile.gzip(archive), to: path)
    let folder = "\(scratch.path)/in/side"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let sentence = PictureFolderTests.sentence { try ArchiveUnpacker().unpack(path, into: folder) }
    #expect(sentence.contains(words) && sentence.contains(path) && !sentence.contains("\n"), "\(sentence)")
    #expect(try FileManager.default.subpathsOfDirectory(atPath: scratch.path).sorted() == ["in", "in/side", "x.tgz"])
  }

  @Test func limitsHold() throws {
    let scratch = try Scratch()
    let path = "\(scratch.path)/x.tgz"
    try AtomicFile.write(TarFile.gzip((0..<5).flatMap { TarFile.entry("set/\($0)", [UInt8](repeating: 1, count: 100)) }), to: path)
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
    try AtomicFile.write(TarFile.gzip(names.flatMap { TarFile.entry("imagenette2-320/\($0)", picture) }), to: archive)
    #expect(!dataset.isPresent(under: root))
    try dataset.unpack(under: root)
    #expect(dataset.isPresent(under: root) && !FileManager.default.fileExists(atPath: archive))
    #expect(try DataSource("imagenette").load(.test, root: root).classNames == ["tench"])
    try AtomicFile.write(TarFile.gzip(TarFile.entry("imagenette2-320/train/x/a.JPEG", picture)), to: archive)
    try FileManager.default.removeItem(atPath: root.appending("imagenette/val"))
    #expect(PictureFolderTests.sentence { try dataset.unpack(under: root) }.contains("imagenette/val was not in it"))
  }

  @Test func noDamagedPathLeadsOut() async {
    let run = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      fuzz("paths of a tar archive", seeds: TarFile.seeds, iterations: 5000) { bytes, generator in
        let damaged = generator.below(2) == 0 ? TarFile.repairingChecksums(bytes) : bytes
        guard let stream = try? GzipStream(TarFile.gzip(damaged)) else { return false }
        var reader = TarReader(stream)
        var count = 0
        while let entry = try? reader.next() {
          count += 1
          guard let parts = try? ArchiveUnpacker.path(entry) else { continue }
          precondition(!parts.contains("..") && !parts.contains { $0.contains("/") }, "\(entry.name)")
        }
        return count > 0
      }
    }
    print(String(decoding: run?.standardOutputContent ?? [], as: UTF8.self), terminator: "")
  }
}
