import Foundation
import SAT
import SwiftTorch
import Testing

@Suite struct IDXTests {
  // MARK: Files made by hand

  private static func big(_ value: Int) -> [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) } }

  private static func images(_ shape: [Int] = [2, 3, 4], bytes: Int? = nil) -> [UInt8] {
    big(0x803) + shape.flatMap(big) + (0..<(bytes ?? shape.reduce(1, *))).map { UInt8(truncatingIfNeeded: $0 * 7) }
  }

  private static func labels(_ values: [UInt8] = [3, 9]) -> [UInt8] { big(0x801) + big(values.count) + values }

  /// Returns a gzip member that stores `bytes` uncompressed.
  private static func gzip(_ bytes: [UInt8]) -> [UInt8] {
    func little(_ value: Int, _ width: Int) -> [UInt8] { (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
    let block = [1] + little(bytes.count, 2) + little(~bytes.count, 2) + bytes
    return [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3] + block + little(Int(Inflater.checksum(bytes[...])), 4) + little(bytes.count, 4)
  }

  private static func problem(_ bytes: [UInt8], _ kind: IDXFile.Kind = .images) -> String {
    do {
      return "nothing was thrown but \(try IDXFile.decode(bytes, as: kind, name: "f").shape) returned"
    } catch {
      return error.message
    }
  }

  // MARK: Good files

  @Test func rawAndCompressedFilesAreRead() throws {
    for file in [Self.images(), Self.gzip(Self.images())] {
      let images = try IDXFile.decode(file, as: .images, name: "f")
      #expect(images.shape == [2, 3, 4] && images.count == 2)
      #expect(Array(images.bytes) == (0..<24).map { UInt8($0 * 7) })
      let tensor = images.tensor()
      #expect(tensor.shape == [2, 3, 4] && tensor.dtype == .uint8 && tensor.hostBytes() == Array(images.bytes))
    }
    for file in [Self.labels(), Self.gzip(Self.labels())] {
      let labels = try IDXFile.decode(file, as: .labels, name: "f")
      #expect(labels.shape == [2] && Array(labels.bytes) == [3, 9] && labels.tensor().hostBytes() == [3, 9])
    }
  }

  @Test func membersOfOneGzipFileAreJoined() throws {
    let bytes = Self.images()
    let file = Self.gzip(Array(bytes[..<10])) + Self.gzip(Array(bytes[10...]))
    #expect(try IDXFile.decode(file, as: .images, name: "f").shape == [2, 3, 4])
  }

  @Test func pairsMustFit() throws {
    let scratch = try Scratch()
    func file(_ name: String, _ bytes: [UInt8]) throws -> String {
      try AtomicFile.write(bytes, to: scratch.file(name))
      return scratch.file(name)
    }
    func problem(_ images: String, _ labels: String, classes: Int = 10) -> String {
      do {
        _ = try IDXFile.readPair(images: images, labels: labels, classes: classes)
        return ""
      } catch {
        return error.message
      }
    }
    let images = try file("images", Self.gzip(Self.images()))
    let labels = try file("labels", Self.labels())
    #expect(problem(images, labels).isEmpty)
    #expect(problem(images, labels, classes: 9) == "\(labels): label 1 is 9; expected 0 to 8; check that it is the right data set")
    #expect(
      problem(images, try file("three", Self.labels([1, 2, 3])))
        == "\(scratch.path)/three: holds 3 labels; expected 2, one for each image of \(images); use files of the same split")
    #expect(problem(labels, images).hasPrefix("\(labels): holds IDX labels (magic 0x00000801); expected images (magic 0x00000803)"))
    #expect(problem(scratch.file("none"), labels).contains("there is no such file; expected IDX images"))
  }

  // MARK: Bad files

  @Test func everyCutIsNoticed() {
    for file in [Self.images(), Self.gzip(Self.images())] {
      for length in 0..<file.count {
        let text = Self.problem(Array(file.prefix(length)))
        #expect(text.contains("cut off") || length < 2 && text.contains("neither"), "\(length) of \(file.count) bytes: \(text)")
      }
    }
  }

  @Test func wrongFilesAreNamed() {
    #expect(Self.problem(Self.labels(), .images).contains("holds IDX labels"))
    #expect(Self.problem(Self.images(), .labels).contains("holds IDX images (magic 0x00000803); expected labels"))
    #expect(Self.problem(Array("<html>404</html>".utf8)).contains("is neither an IDX nor a gzip file"))
    #expect(Self.problem(Self.gzip(Array("text, compressed".utf8))).contains("is a gzip file without IDX data inside"))
    #expect(
      Self.problem([0x1F, 0x8B] + [UInt8](repeating: 7, count: 40)).contains("is a gzip file, but the compressed data is damaged"))
    #expect(
      Self.problem(Self.images(bytes: 23)).contains(
        "holds 23 bytes of images; expected 24 for the shape [2, 3, 4] in its header, so it is cut off"))
    #expect(Self.problem(Self.images(bytes: 25)).contains("so it is too long"))
    #expect(Self.problem(Self.gzip(Self.images(bytes: 25))).contains("more than the 40 bytes expected"))
    #expect(Self.problem(Self.images([0, 28, 28])).contains("impossible shape"))
    #expect(Self.problem(Self.images([0xFFFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF], bytes: 0)).contains("impossible shape"))
    // The header declares four petabytes; the reader refuses it by the file's length and allocates nothing.
    #expect(Self.problem(Self.images([1 << 30, 1 << 11, 1 << 11], bytes: 8)).contains("cut off"))
    var damaged = Self.gzip(Self.images())
    damaged[damaged.count - 6] ^= 1
    #expect(Self.problem(damaged).contains("damaged"))
  }

  @Test func damagedFilesAreSurvived() async {
    let run = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      let seeds = [IDXTests.images(), IDXTests.labels(), IDXTests.gzip(IDXTests.images()), IDXTests.gzip(IDXTests.labels())]
      fuzz("IDX", seeds: seeds) { bytes, generator in
        guard let file = try? IDXFile.decode(bytes, as: generator.below(2) == 0 ? .images : .labels, name: "f") else {
          return false
        }
        return file.bytes.count == file.shape.reduce(1, *)
      }
    }
    print(String(decoding: run?.standardOutputContent ?? [], as: UTF8.self), terminator: "")
  }

  @Test(.enabled(if: IDXTests.realData != nil, "real data are absent"))
  func mnistIsRead() throws {
    let folder = try #require(Self.realData) + "/mnist"
    for (split, count, sum) in [("train", 60_000, 270_000), ("t10k", 10_000, 45_000)] {
      let (images, labels) = try IDXFile.readPair(
        images: "\(folder)/\(split)-images-idx3-ubyte.gz", labels: "\(folder)/\(split)-labels-idx1-ubyte.gz")
      #expect(images.shape == [count, 28, 28] && labels.shape == [count])
      // The classes are nearly balanced, so the test notices a shifted file.
      #expect(abs(labels.bytes.reduce(0) { $0 + Int($1) } - sum) < sum / 50)
    }
  }

  private static let realData: String? = {
    let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let folder =
      ProcessInfo.processInfo.environment["SAT_TEST_DATA"]
      ?? package.deletingLastPathComponent().appendingPathComponent("shared/data").path
    guard FileManager.default.fileExists(atPath: "\(folder)/mnist") else {
      print("Tests on real data are skipped: there is no folder \(folder)/mnist; name its parent in SAT_TEST_DATA.")
      return nil
    }
    return folder
  }()
}
