import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// Tests of data in the forms in which people have them; `make_datasets.py` made the files.
@Suite struct DataFormTests {
  private static let labels = [3, 0, 7]
  private static let root = DataRoot(option: Fixtures.path("datasets"))

  /// The pixels of the files, by the formula of the script.
  private static func pixels(_ shape: [Int]) -> Tensor {
    let size = shape.reduce(1, *)
    return Tensor((0..<3).flatMap { i in (0..<size).map { UInt8((31 * i + 7 * $0) % 256) } }, shape: [3] + shape)
  }

  private static func load(_ name: String, _ split: DataSource.Split = .test, _ reading: ImageReading = ImageReading()) throws
    -> ImageDataset
  {
    let known = DataSource.names.contains(name)
    return try DataSource(known ? name : Fixtures.path("datasets/\(name)")).load(split, root: root, reading: reading)
  }

  @Test(arguments: [
    "cifar10", "cifar100", "cifar-10-batches-py", "cifar-100-python", "cifar-10-batches-py/test_batch",
    "cifar-10-batches-py/data_batch_1", "cifar-100-python/test", "protocol5",
  ]) func picklesOfCIFARAreRead(name: String) throws {
    let data = try Self.load(name)
    expectIdentical(try data.images, Self.pixels([3, 32, 32]))
    #expect(data.labels.array(of: Int.self) == Self.labels)
    let isFine = name.contains("100")
    #expect(data.classNames[3] == (isFine ? "class 3" : "cat") || name == "protocol5")
  }

  @Test func damagedPicklesOfCIFAR() async {
    let run = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      let names = ["cifar-10-batches-py/test_batch", "cifar-10-batches-py/data_batch_1", "protocol5", "cifar-100-python/test"]
      let seeds = names.map { try! FileBytes.read(Fixtures.path("datasets/\($0)")) }
      fuzz("batch of CIFAR", seeds: seeds, iterations: 20_000) { bytes, generator in
        // The damage hits the instructions of the pickle more often than its pixels.
        var bytes = bytes
        if let last = bytes.indices.last {
          bytes[[generator.below(200), last - generator.below(min(last, 200))].randomElement(using: &generator)! % bytes.count] ^=
            1 << UInt8(generator.below(8))
        }
        guard let data = try? CIFAR.file("batch", bytes) else { return false }
        return data.count > 0 && data.imageShape == [3, 32, 32]
      }
    }
    report(run)
  }

  @Test func otherPicklesAreNamed() {
    let missing = PictureFolderTests.sentence { _ = try Self.load("without-labels") }
    #expect(missing.contains("without-labels is a pickle without 'data' and 'labels'"))
    let cut = PictureFolderTests.sentence {
      _ = try CIFAR.file("cut", Array(FileBytes.read(Fixtures.path("datasets/protocol5")).dropLast(9)))
    }
    #expect(cut.contains("cut off"))
  }

  @Test(arguments: [
    "pair", "pair/images.npy", "image_label.npz", "unnamed.npz", "wide.npz", "big-endian.npz", "parts.npz", "pair.pt",
    "dictionary.pt", "dataset.pt",
  ]) func arraysAreRead(name: String) throws {
    let data = try Self.load(name)
    expectClose(try data.batch(0..<3).images, Self.pixels([3, 5, 6]).to(.float32) / 255.0, absolute: 1e-7, relative: 0)
    #expect(data.labels.array(of: Int.self) == Self.labels)
    #expect(data.split == (name == "parts.npz" ? "test" : "file"))
    let notes = data.notes.joined()
    #expect(notes.contains("channels last") == (name == "image_label.npz") && notes.contains("one-hot") == (name == "wide.npz"))
  }

  @Test func twoFilesAreAPair() throws {
    let folder = Fixtures.path("datasets/pair")
    let data = try DataSource("\(folder)/images.npy,\(folder)/labels.npy").load(.test, root: Self.root)
    expectIdentical(try data.images, Self.pixels([3, 5, 6]))
  }

  @Test func partsOfAFileAreParts() throws {
    let (train, validation) = try DataSource(Fixtures.path("datasets/parts.npz")).loadForTraining(root: Self.root)
    #expect(train.count == 54 && validation.count == 6)
    #expect(DataSource(Fixtures.path("datasets/parts.npz")).hasParts && !DataSource(Fixtures.path("datasets/unnamed.npz")).hasParts)
    let grey = try Self.load("grey.npz", .train)
    #expect(grey.imageShape == [1, 6, 7] && grey.notes[0].contains("one channel"))
  }

  /// The model's shape decides; where both orders fit, the user does.
  @Test func theLayoutIsRecognised() throws {
    func data(_ shape: [Int], _ reading: ImageReading) throws -> ImageDataset {
      let images = Tensor.arange(0..<shape.reduce(1, *)).to(.uint8).reshaped(to: shape)
      return try ImageDataset(name: "d", split: "test", imageArray: images, labelArray: Tensor([0, 1]), reading: reading)
    }
    #expect(try data([2, 5, 6, 3], ImageReading()).imageShape == [3, 5, 6])
    #expect(try data([2, 3, 6, 5], ImageReading()).imageShape == [3, 6, 5])
    #expect(try data([2, 9, 9, 9], ImageReading()).imageShape == [9, 9, 9])
    #expect(try data([2, 7, 8, 9], ImageReading(modelShape: [9, 7, 8])).imageShape == [9, 7, 8])
    let both = try data([2, 3, 3, 3], ImageReading())
    #expect(try both.images[0, 0, 0, 1].item() == 1 && both.notes[0].contains("--layout nhwc"))
    #expect(try data([2, 3, 3, 3], ImageReading(layout: .nhwc)).images[0, 1, 0, 0].item() == 1)
    var probed = ImageReading()
    probed.accepts = { $0 == [3, 3, 4] }
    #expect(try data([2, 3, 4, 3], probed).imageShape == [3, 3, 4])
    let resized = try data([2, 5, 6, 3], ImageReading(preprocessing: Preprocessing(resize: 10, crop: 8)))
    #expect(resized.imageShape == [3, 8, 8] && resized.notes.count == 2)
  }

  @Test func whatCannotBeLabelsOrPixelsIsSaid() {
    func sentence(_ images: Tensor, _ labels: Tensor) -> String {
      PictureFolderTests.sentence {
        _ = try ImageDataset(name: "d", split: "test", imageArray: images, labelArray: labels, reading: ImageReading())
      }
    }
    let images = Tensor.full([2, 1, 5, 5], 9, dtype: .uint8)
    #expect(sentence(images, Tensor([0.5, 1])).contains("fractions"))
    #expect(sentence(images, Tensor([1, 1, 0, 1], shape: [2, 2])).contains("not one-hot"))
    #expect(sentence(.full([2, 1, 5, 5], 256, dtype: .int64), Tensor([0, 1])).contains("between 256 and 256"))
    #expect(sentence(.full([2, 1, 5, 5], 1, dtype: .int64), Tensor([0, 1])).contains("none is above 1"))
    #expect(sentence(.zeros(2, 784), Tensor([0, 1])).contains("[2, 784]"))
    #expect(PictureFolderTests.sentence { _ = try Self.load("adversarial.pt") }.contains("found adv_complete"))
  }

  @Test func aCorruptionAndItsSeverityAreChosen() throws {
    let third = try Self.load("cifar10-c", .test, ImageReading(corruption: "fog", severity: 3))
    expectIdentical(try third.images.to(.int64), (Self.pixels([3, 5, 6]).to(.int64) + 3).remainder(256))
    #expect(third.labels.array(of: Int.self) == Self.labels && third.name == "cifar10-c (fog, severity 3)")
    let all = try Self.load("CIFAR-10-C", .test, ImageReading(corruption: "fog"))
    #expect(all.count == 15)
    expectIdentical(try all.images[6..<9], try third.images)
    expectIdentical(try Self.load("CIFAR-10-C/fog.npy", .test, ImageReading(severity: 3)).images, try third.images)
    #expect(PictureFolderTests.sentence { _ = try Self.load("cifar10-c") }.contains("choose one with --corruption: fog"))
    #expect(
      PictureFolderTests.sentence { _ = try Self.load("cifar10-c", .test, ImageReading(corruption: "frog")) }.contains(
        "did you mean 'fog'"))
  }

  @Test func torchvisionsFoldersAreFound() throws {
    let scratch = try Scratch()
    let header: ([UInt8], [UInt8]) = ([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4], [0, 0, 8, 1, 0, 0, 0, 1, 5])
    for (place, dot) in [("a/MNIST/raw", "-"), ("b/mnist", "."), ("c", "-")] {
      try FileManager.default.createDirectory(atPath: scratch.file(place), withIntermediateDirectories: true)
      try AtomicFile.write(header.0, to: scratch.file("\(place)/t10k-images\(dot)idx3-ubyte"))
      try AtomicFile.write(header.1, to: scratch.file("\(place)/t10k-labels\(dot)idx1-ubyte"))
    }
    for folder in ["a", "b", "c"] {
      let named = try DataSource("mnist").load(.test, root: DataRoot(option: scratch.file(folder)))
      let path = try DataSource(scratch.file(folder)).load(.test, root: DataRoot(option: "/n"))
      #expect(named.labels.item() == 5 && named.name == "mnist" && path.name == scratch.file(folder))
      expectIdentical(try named.images, try path.images)
    }
    try FileManager.default.createDirectory(atPath: scratch.file("d/cifar-10-batches-bin"), withIntermediateDirectories: true)
    try AtomicFile.write(CIFARTests.records("cifar10", 2, first: 4), to: scratch.file("d/cifar-10-batches-bin/test_batch.bin"))
    for (name, root) in [("cifar10", "d"), (scratch.file("d"), "/n"), (scratch.file("d/cifar-10-batches-bin"), "/n")] {
      #expect(
        try DataSource(name).load(.test, root: DataRoot(option: scratch.file(root))).labels.array(of: Int.self) == [4, 5], "\(name)"
      )
    }
  }
}
