import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// Tests of CIFAR's binary files: loose, compressed, in the authors' archives, and one file at a time.
@Suite struct CIFARTests {
  /// Returns `count` records; the pixels of each identify it.
  static func records(_ name: String, _ count: Int, first: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    for i in first..<first + count {
      bytes += name == "cifar10" ? [UInt8(i % 10)] : [UInt8(i % 20), UInt8(i % 100)]
      bytes += [UInt8](repeating: UInt8(i % 251), count: 3072)
    }
    return bytes
  }

  /// Makes a folder with 5,500 training and 20 test records, as an archive if `packed`.
  static func make(_ name: String, packed: Bool, in scratch: Scratch) throws -> DataRoot {
    let folder = "\(scratch.path)/\(name)"
    let inner = name == "cifar10" ? "cifar-10-batches-bin" : "cifar-100-binary"
    let place = packed ? "\(folder)/\(inner)" : folder
    try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
    let train = name == "cifar10" ? (1...5).map { ("data_batch_\($0).bin", 1100, ($0 - 1) * 1100) } : [("train.bin", 5500, 0)]
    for (file, count, first) in train + [(name == "cifar10" ? "test_batch.bin" : "test.bin", 20, 9000)] {
      try Data(records(name, count, first: first)).write(to: URL(filePath: "\(place)/\(file)"))
    }
    if packed {
      try TarFile.tar(["-czf", name == "cifar10" ? "cifar-10-binary.tar.gz" : "cifar-100-binary.tar.gz", inner], in: folder)
      try FileManager.default.removeItem(atPath: place)
    }
    return DataRoot(option: scratch.path)
  }

  @Test(arguments: ["cifar10", "cifar100"]) func theArchiveIsReadAsItIs(name: String) throws {
    let (loose, packed) = (try Scratch(), try Scratch())
    let roots = [try Self.make(name, packed: false, in: loose), try Self.make(name, packed: true, in: packed)]
    let (a, b) = (try DataSource(name).loadForTraining(root: roots[0]), try DataSource(name).loadForTraining(root: roots[1]))
    #expect(a.validation.count == 5000 && a.train.count == 500 && a.validation.split == "validation" && a.train.split == "train")
    #expect(a.train.labels.array(of: Int.self) == (5000..<5500).map { $0 % (name == "cifar10" ? 10 : 100) })
    expectIdentical(try a.train.images[.all, 0, 0, 0].to(.int64), Tensor((5000..<5500).map { $0 % 251 }))
    for (x, y) in [(a.train, b.train), (a.validation, b.validation)] {
      expectIdentical(try x.images, try y.images)
      expectIdentical(x.labels, y.labels)
    }
    let test = try DataSource(name).load(.test, root: roots[1])
    #expect(test.count == 20 && test.labels.array(of: Int.self) == (9000..<9020).map { $0 % (name == "cifar10" ? 10 : 100) })
  }

  @Test func whatIsMissingOrDamagedIsNamed() throws {
    let scratch = try Scratch()
    let root = try Self.make("cifar10", packed: false, in: scratch)
    let folder = "\(scratch.path)/cifar10"
    try FileManager.default.removeItem(atPath: "\(folder)/data_batch_3.bin")
    func sentence(_ split: DataSource.Split = .train) -> String {
      PictureFolderTests.sentence { _ = try DataSource("cifar10").load(split, root: root) }
    }
    // The other four files are used, and here hold too few images for a validation part.
    #expect(sentence().contains("has only 4400 training images"), "\(sentence())")
    try AtomicFile.write(
      TarFile.gzip(TarFile.entry("cifar-10-batches-bin/data_batch_2.bin", [1])), to: "\(folder)/cifar-10-binary.tar.gz")
    #expect(sentence().contains("cifar-10-binary.tar.gz: holds no data_batch_3;"))
    try AtomicFile.write(
      TarFile.gzip(TarFile.entry("x/data_batch_3.bin", size: "7777777777")), to: "\(folder)/cifar-10-binary.tar.gz")
    #expect(sentence().contains("expected at most \(CIFAR.largestBatch)"))
    try AtomicFile.write(
      Array(TarFile.gzip(TarFile.entry("x/data_batch_3.bin", Self.records("cifar10", 2, first: 0))).dropLast(3000)),
      to: "\(folder)/cifar-10-binary.tar.gz")
    #expect(sentence().contains("cut off"))
    try AtomicFile.write(Self.records("cifar10", 2, first: 0).dropLast(), to: "\(folder)/test_batch.bin")
    #expect(sentence(.test).contains("test_batch.bin has 6145 bytes"))
    var wrong = Self.records("cifar10", 2, first: 0)
    wrong[0] = 10
    try AtomicFile.write(wrong, to: "\(folder)/test_batch.bin")
    #expect(sentence(.test).contains("a record has label 10"))
    try FileManager.default.removeItem(atPath: "\(folder)/cifar-10-binary.tar.gz")
    for batch in [1, 2, 4, 5] { try FileManager.default.removeItem(atPath: "\(folder)/data_batch_\(batch).bin") }
    #expect(sentence().contains("data_batch_1.bin[.gz] is not there") && sentence().contains("sat data fetch cifar10"))
  }

  /// Reads real files by their paths: one of CIFAR-10's five batches, and the first tenth of CIFAR-100's training images.
  @Test func oneRealBatchIsAFileOfItsOwn() throws {
    guard let path = RealData.path("cifar10/data_batch_1.bin.gz"), let folder = RealData.folder else { return }
    let root = DataRoot(option: folder)
    let batch = try DataSource(path).load(.train, root: root)
    // Every description of the data set lists these first labels.
    #expect(
      batch.count == 10_000 && batch.labels[..<8].array(of: Int.self) == [6, 9, 9, 4, 1, 1, 2, 7] && batch.classNames[6] == "frog")
    let parts = try DataSource(path).loadForTraining(root: root)
    #expect(parts.train.count + parts.validation.count == 10_000 && (995...1005).contains(parts.validation.count))
    let named = try DataSource("cifar10").load(.train, root: root)
    #expect(named.count == 5000 && named.notes.contains { $0.contains("only 1 of the 5 train files are there") }, "\(named.notes)")
    let fine = try DataSource("\(folder)/cifar100/train_first5000.bin.gz").load(.train, root: root)
    #expect(fine.count == 5000 && fine.labels[..<5].array(of: Int.self) == [19, 29, 0, 11, 1] && fine.classNames[19] == "cattle")
    #expect(fine.imageShape == [3, 32, 32])
  }

  @Test func aFileThatIsNeitherIsSaid() throws {
    let scratch = try Scratch()
    let path = "\(scratch.path)/x.bin"
    for bytes in [[UInt8](repeating: 1, count: 3000), [UInt8](repeating: 200, count: 3073), TarFile.gzip([1, 2, 3])] {
      try AtomicFile.write(bytes, to: path)
      let sentence = PictureFolderTests.sentence { _ = try DataSource(path).load(.test, root: DataRoot(option: "/n")) }
      #expect(sentence.contains("\(path) holds no images that sat knows"), "\(sentence)")
    }
  }
}
