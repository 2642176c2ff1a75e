import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// Tests of folders of pictures as data sets.
@Suite struct PictureFolderTests {
  /// Copies the fixture's pictures into one folder per class.
  static func folder(_ scratch: Scratch, _ classes: [String: [String]]) throws -> String {
    for (name, files) in classes {
      try FileManager.default.createDirectory(atPath: "\(scratch.path)/\(name)", withIntermediateDirectories: true)
      for (i, file) in files.enumerated() {
        let ending = (file as NSString).pathExtension.uppercased()
        try FileManager.default.copyItem(
          atPath: Fixtures.path("pictures/\(file)"), toPath: "\(scratch.path)/\(name)/\(i).\(ending)")
      }
    }
    return scratch.path
  }

  static func middle(of picture: Tensor, side: Int) -> Tensor { Preprocessing.middle(side: side)(picture) }

  static func sentence(_ body: () throws -> Void, sourceLocation: SourceLocation = #_sourceLocation) -> String {
    do {
      try body()
      Issue.record("nothing was thrown", sourceLocation: sourceLocation)
      return ""
    } catch let error as SATError {
      return error.message
    } catch let error as TorchError {
      return error.message
    } catch {
      return "\(error)"
    }
  }

  @Test func classesAreTheFoldersInOrder() throws {
    let scratch = try Scratch()
    let path = try Self.folder(scratch, ["b": ["rgb.png", "grey.png"], "a": ["baseline.jpg"], "Z": ["palette.png"]])
    try Data("notes".utf8).write(to: URL(filePath: "\(path)/b/readme.txt"))
    try Data("notes".utf8).write(to: URL(filePath: "\(path)/index.csv"))
    try FileManager.default.createDirectory(atPath: "\(path)/.cache", withIntermediateDirectories: true)
    let data = try DataSource(path).load(.test, root: DataRoot(option: "/nonexistent"))
    #expect(data.classNames == ["Z", "a", "b"] && data.labels.array(of: Int.self) == [0, 1, 2, 2])
    #expect(data.imageShape == [3, 21, 33] && data.split == "file", "small pictures stay whole")
    let golden = try Fixtures.tensors("pictures")
    let batch = try data.batch(at: Tensor([3, 0]))
    expectIdentical(batch.images, Tensor.stacked([try golden["grey.png"], try golden["palette.png"]]).to(.float32) / 255.0)
    #expect(batch.labels.array(of: Int.self) == [2, 0])
    expectIdentical(try data.subset(1..<3).batch(0..<2).images, try data.batch(1..<3).images)
    #expect(data.imagesInMemory == nil)
    #expect(try data.images.shape == [4, 3, 21, 33])
  }

  @Test func largePicturesAreResizedAndCroppedAsTorchvisionDoes() throws {
    let golden = try Fixtures.tensors("pictures")
    let picture = try golden["rgb.png"]
    for side in [14, 28] {
      let middle = Self.middle(of: picture, side: side)
      expectClose(middle.to(.float32), try golden["middle/\(side)"].to(.float32), absolute: 1, relative: 0, "\(side)")
      let upright = Self.middle(of: picture.transposed(1, 2), side: side)
      expectClose(upright.transposed(1, 2).to(.float32), middle.to(.float32), absolute: 1, relative: 0, "the other way up")
    }
    let bicubic = [(17, 13), (40, 30)]
    for (width, height) in bicubic {
      expectClose(
        picture.resized(height: height, width: width, bicubic: true).to(.float32),
        try golden["bicubic/\(width)x\(height)"].to(.float32), absolute: 1, relative: 0, "\(width) x \(height)")
    }
    expectIdentical(Preprocessing(crop: 28)(picture), try golden["crop/28"])
    expectIdentical(picture.luma, try golden["luma"])
    let floats = Preprocessing(resize: 40, crop: 30, isBicubic: true)(picture.to(.float32) / 255.0)
    #expect(floats.shape == [3, 30, 30] && floats.min().item() >= 0 && floats.max().item() <= 1)
  }

  /// The far ends do not affect the middle and take no memory.
  @Test func ofALongPictureOnlyTheMiddleIsResized() async throws {
    for (edge, side) in [(1, 41), (2, 50), (3, 90)] {
      let picture = (Tensor.rand([3, edge, side], generator: Generator(seed: 3)) * 255.0).to(.uint8)
      // torchvision resizes the whole picture.
      let whole = picture.resized(height: 64, width: 64 * side / edge)
      let left = Int((Double(64 * side / edge - 56) / 2).rounded(.toNearestOrEven))
      let expected = whole[.all, 4..<60, left..<left + 56]
      expectClose(
        Self.middle(of: picture, side: 56).to(.float32), expected.to(.float32), absolute: 1, relative: 0,
        "\(edge) x \(side)")
      let upright = Self.middle(of: picture.transposed(1, 2), side: 56)
      expectClose(upright.transposed(1, 2).to(.float32), expected.to(.float32), absolute: 1, relative: 0, "\(side) x \(edge)")
    }
    await #expect(processExitsWith: .success) {
      func peak() -> Int {
        let lines = try! String(contentsOfFile: "/proc/self/status", encoding: .utf8).split(separator: "\n")
        return Int(lines.first { $0.hasPrefix("VmHWM") }!.split(separator: " ")[1])! / 1024
      }
      _ = Self.middle(of: .zeros(3, 300, 300, dtype: .uint8), side: 224)
      let before = peak()
      #expect(Self.middle(of: .zeros(3, 1, 20_000, dtype: .uint8), side: 224).shape == [3, 224, 224])
      precondition(peak() - before < 100, "\(peak() - before) MB more")
    }
  }

  /// As `ImageFolder` does, except for hidden entries; each entry that is left out is counted.
  @Test func foldersBelowAClassAreSearched() throws {
    let scratch = try Scratch()
    let path = try Self.folder(
      scratch,
      ["a/deep/er": ["rgb.png"], "a": ["rgb.bmp", "rgb.ppm"], "a/.hidden": ["grey.png"], "b": ["rgb.bmp", "grey.pgm"]])
    try Data("notes".utf8).write(to: URL(filePath: "\(path)/b/readme.txt"))
    try Data("notes".utf8).write(to: URL(filePath: "\(path)/a/._0.png"))
    let data = try DataSource(path).load(.test, root: DataRoot(option: "/n"))
    #expect(data.labels.array(of: Int.self) == [0, 0, 0, 1, 1])
    #expect(
      data.notes == ["3 entries are left out, hidden or without the ending of a picture: a/._0.png, a/.hidden, b/readme.txt"])
    let rgb = try Fixtures.tensors("pictures")["rgb.png"].to(.float32) / 255.0
    for index in 0..<3 { expectIdentical(try data.batch(index..<index + 1).images[0], rgb) }
    try FileManager.default.createSymbolicLink(atPath: "\(path)/a/loop", withDestinationPath: "..")
    #expect(Self.sentence { _ = try DataSource(path).load(.test, root: DataRoot(option: "/n")) }.contains("folders deep"))
  }

  @Test func namesNeedNotBeUTF8() throws {
    let scratch = try Scratch()
    let path = try Self.folder(scratch, ["a": ["rgb.png"], "b": ["grey.png"]])
    let name = Array("\(path)/a/caf".utf8).map { CChar(bitPattern: $0) } + [CChar(bitPattern: 0xE9)]
    #expect(rename("\(path)/a/0.PNG", name + Array(".png".utf8CString)) == 0)
    let data = try DataSource(path).load(.test, root: DataRoot(option: "/n"))
    #expect(try data.batch(0..<2).images.shape == [2, 3, 21, 33])
  }

  /// The model decides on size and channels where the user does not.
  @Test func picturesBecomeTheModelsImages() throws {
    let scratch = try Scratch()
    let path = try Self.folder(scratch, ["a": ["rgb.png"], "b": ["grey.png"]])
    func load(_ reading: ImageReading) throws -> ImageDataset {
      try DataSource(path).load(.test, root: DataRoot(option: "/n"), reading: reading)
    }
    let golden = try Fixtures.tensors("pictures")
    let grey = try load(ImageReading(modelShape: [1, 21, 33]))
    expectIdentical(try grey.images[0], try golden["luma"])
    #expect(grey.notes.count == 1 && grey.notes[0].contains("read in grey"))
    let resized = try load(ImageReading(modelShape: [3, 14, 14]))
    expectClose(try resized.images[0].to(.float32), try golden["middle/14"].to(.float32), absolute: 1, relative: 0)
    #expect(resized.notes[0].contains("pictures of 33 x 21 do not fit the model") && resized.notes[0].contains("middle 14 x 14"))
    #expect(try load(ImageReading()).notes.isEmpty)
    var probed = ImageReading()
    probed.accepts = { $0[0] == 1 }
    #expect(try load(probed).imageShape == [1, 21, 33])
    let chosen = try load(ImageReading(preprocessing: Preprocessing(resize: 30), modelShape: [3, 14, 14]))
    #expect(chosen.imageShape == [3, 30, 47])
    try AtomicFile.write(ContactSheet(columns: 1, gap: 0, smallestEdge: 0).png(.zeros(1, 3, 5, 6)), to: "\(path)/b/x.png")
    let mixed = try load(ImageReading())
    #expect(mixed.imageShape == [3, 224, 224] && mixed.notes[0].contains("several sizes, such as 33 x 21 and 6 x 5"))
    #expect(Self.sentence { _ = try load(ImageReading(layout: .nhwc)) }.contains("--layout does not apply"))
    #expect(Self.sentence { _ = try load(ImageReading(severity: 1)) }.contains("--severity does not apply"))
  }

  @Test func partsAreFoundByTheirNames() throws {
    let scratch = try Scratch()
    var classes: [String: [String]] = [:]
    for name in ["one", "two"] {
      classes["train/\(name)"] = Array(repeating: "rgb.png", count: 10)
      classes["val/\(name)"] = ["grey.png"]
    }
    let path = try Self.folder(scratch, classes)
    let root = DataRoot(option: "/nonexistent")
    let source = DataSource(path)
    #expect(try source.load(.test, root: root).count == 2)
    let parts = try source.loadForTraining(root: root)
    #expect(parts.train.count == 18 && parts.validation.count == 2 && parts.validation.labels.array(of: Int.self) == [0, 1])
    #expect(try source.load(.train, root: root).count == 18 && source.load(.validation, root: root).split == "validation")
  }

  @Test func whatIsWrongIsOneSentence() throws {
    let scratch = try Scratch()
    let empty = try Self.folder(scratch, ["a": ["rgb.png"], "b": []])
    func load() throws -> ImageDataset { try DataSource(empty).load(.test, root: DataRoot(option: "/nonexistent")) }
    #expect(Self.sentence { _ = try load() }.contains("\(empty)/b holds no pictures (JPEG, PNG"))
    try FileManager.default.copyItem(atPath: "\(empty)/a/0.PNG", toPath: "\(empty)/b/x.png")
    let data = try load()
    try Data("not a picture".utf8).write(to: URL(filePath: "\(empty)/b/x.png"))
    #expect(Self.sentence { _ = try load() }.contains("\(empty)/b/x.png: is no picture of a known format"))
    #expect(Self.sentence { _ = try data.batch(0..<2) }.contains("\(empty)/b/x.png: is no picture of a known format"))
    let whole = try FileBytes.read(Fixtures.path("pictures/baseline.jpg"))
    try AtomicFile.write(Array(whole.dropLast(200)), to: "\(empty)/b/x.png")
    #expect(Self.sentence { _ = try data.batch(1..<2) }.contains("x.png: is a damaged JPEG picture (Premature end of JPEG file)"))
    try FileManager.default.removeItem(atPath: "\(empty)/b/x.png")
    #expect(Self.sentence { _ = try data.batch(1..<2) }.contains("x.png: there is no such file"))
    try AtomicFile.write(ContactSheet(columns: 1, gap: 0, smallestEdge: 0).png(.zeros(1, 3, 5, 6)), to: "\(empty)/b/x.png")
    #expect(
      Self.sentence { _ = try data.batch(1..<2) }.contains("is a picture of 6 x 5 and makes an image of 6 x 5; expected 33 x 21"))
    let scratch2 = try Scratch()
    #expect(
      Self.sentence { _ = try DataSource(scratch2.path).load(.test, root: DataRoot(option: "/n")) }.contains("no sub-folders"))
    let missing = Self.sentence { _ = try DataSource("imagenette").load(.train, root: DataRoot(option: scratch2.path)) }
    #expect(missing.contains("\(scratch2.path)/imagenette/train is not there; get it with `sat data fetch imagenette`"))
    // The loader passes the error on, and its thread ends.
    let loader = BatchLoader(data, batchSize: 1, order: [0, 1, 0], generator: Generator(seed: 0))
    #expect(try loader.next()?.labels.item() == 0)
    #expect(Self.sentence { _ = try loader.next() }.contains("x.png"))
    #expect(try loader.next() == nil)
  }

  /// Reads all 300 test photographs of the real data and a tenth of the training photographs.
  @Test func theRealImagenetteIsRead() throws {
    guard let folder = RealData.folder, RealData.path("imagenette/val") != nil else { return }
    let root = DataRoot(option: folder)
    let test = try DataSource("imagenette").load(.test, root: root)
    #expect(
      test.count == 300 && test.imageShape == [3, 224, 224] && test.classNames.first == "tench" && test.classNames.count == 10)
    #expect((0..<10).allSatisfy { test.labels.equal(to: $0).sum().item() == 30 })
    var sum = 0.0
    for start in stride(from: 0, to: 300, by: 50) {
      let images = try test.batch(start..<start + 50).images
      #expect(images.min().item() >= 0 && images.max().item() <= 1)
      sum += images.mean().item()
    }
    // The mean of photographs is a middle grey; ImageNet's mean is 0.45.
    #expect((0.4...0.5).contains(sum / 6), "mean \(sum / 6)")
    let (train, validation) = try DataSource("imagenette").loadForTraining(root: root)
    #expect(train.count == 720 && validation.count == 80)
    func load(_ depth: Int) throws -> [BatchLoader.Batch] {
      try BatchLoaderTests.batches(
        BatchLoader(
          train, batchSize: 16, order: Array(stride(from: 0, to: 720, by: 20)), augmentation: .imagenette,
          generator: Generator(seed: 1), depth: depth))
    }
    let (plain, threaded) = (try load(0), try load(2))
    #expect(plain.count == 3 && threaded.count == 3)
    for (a, b) in zip(plain, threaded) { expectIdentical(a.images, b.images) }
    #expect(plain[0].images.shape == [16, 3, 224, 224])
  }
}
