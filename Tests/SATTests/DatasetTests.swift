import Foundation
import SwiftTorch
import Testing

@testable import SAT

@Suite struct DatasetTests {
  func dataset(_ labels: [Int], name: String = "d") throws -> ImageDataset {
    try ImageDataset(
      name: name, split: "train", images: Tensor.arange(0..<labels.count).to(.uint8).reshaped(to: -1, 1, 1, 1),
      labels: Tensor(labels))
  }

  @Test func validationIsATenthOfEveryClass() throws {
    let labels = (0..<1000).map { $0 % 7 }
    let (train, validation) = try dataset(labels).splittingOffValidation(0.1)
    #expect(train.count + validation.count == 1000)
    for label in 0..<7 {
      let size = labels.count { $0 == label }
      #expect(validation.labels.equal(to: label).sum().item() == (0.1 * Double(size)).rounded())
    }
    let again = try dataset(labels).splittingOffValidation(0.1)
    #expect(try again.validation.labels.isEqual(to: validation.labels) && again.train.images.isEqual(to: train.images))
  }

  @Test func bytesBecomeTheUnitInterval() throws {
    let images = Tensor([UInt8](0...255), shape: [256, 1, 1, 1])
    let data = try ImageDataset(name: "d", split: "test", images: images, labels: .zeros([256], dtype: .int64))
    let values = try data.batch(0..<256).images.array(of: Float.self)
    #expect(values == (0...255).map { Float($0) / 255 })
    expectIdentical(try data.batch(at: Tensor([5, 3])).images, try data.batch(0..<256).images.selecting(Tensor([5, 3])))
  }

  /// Resizing in float32 leaves such pixels; an image that was never scaled leaves larger ones.
  @Test func roundingErrorsAreClippedAndSaid() throws {
    func data(_ pixels: [Float]) throws -> ImageDataset {
      try ImageDataset(name: "d", split: "test", images: Tensor(pixels, shape: [2, 1, 1, 1]), labels: Tensor([0, 1]))
    }
    let clipped = try data([-1e-6, 1.000001])
    #expect(try clipped.images.array(of: Float.self) == [0, 1])
    #expect(clipped.notes.count == 1 && clipped.notes[0].contains("clipped"))
    #expect(try clipped.subset(0..<1).notes == clipped.notes)
    #expect(try data([0, 1]).notes.isEmpty)
    #expect(throws: SATError.self) { try data([0, 1.0001]) }
  }

  @Test func whatDoesNotFitIsSaid() throws {
    func message(_ images: Tensor, _ labels: Tensor) -> String {
      do { _ = try ImageDataset(name: "mine", split: "test", images: images, labels: labels) } catch { return error.message }
      return ""
    }
    let labels = Tensor([0, 1])
    #expect(message(.zeros(2, 3, 4, 4), labels) == "")
    #expect(message(.zeros(2, 4, 4), labels).contains("[N, C, H, W]"))
    #expect(message(.zeros(3, 1, 4, 4), labels).contains("one per image"))
    #expect(message(.full([2, 1, 4, 4], 255.0), labels).contains("255"))
    #expect(message(.full([2, 1, 4, 4], -0.1), labels).contains("[0, 1]"))
    #expect(message(.full([2, 1, 4, 4], Double.nan), labels).contains("[0, 1]"))
    #expect(message(.zeros(2, 1, 4, 4), Tensor([0, -1])).contains("-1"))
    #expect(message(.zeros(0, 1, 4, 4), .zeros([0], dtype: .int64)).contains("no images"))
  }

  @Test func theDigitsAreMNISTs() throws {
    let root = DataRoot(option: "/nonexistent")
    let train = try DataSource("digits").load(.train, root: root)
    let validation = try DataSource("digits").load(.validation, root: root)
    let test = try DataSource("digits").load(.test, root: root)
    #expect(train.count == 3600 && validation.count == 400 && test.count == 1000)
    #expect(train.imageShape == [1, 28, 28])
    for part in [train, validation, test] {
      for label in 0..<10 { #expect(part.labels.equal(to: label).sum().item() == Double(part.count / 10)) }
    }
    let both = try DataSource("digits").loadForTraining(root: root)
    #expect(try both.train.images.isEqual(to: train.images) && both.validation.images.isEqual(to: validation.images))
  }

  @Test func theRealMNISTHasItsCounts() throws {
    guard let folder = RealData.folder else {
      print("skipped: the real data are not here; set SAT_TEST_DATA to their folder")
      return
    }
    let root = DataRoot(option: folder)
    #expect(
      try DataSource("mnist").load(.train, root: root).count + DataSource("mnist").load(.validation, root: root).count == 60_000)
    let test = try DataSource("mnist").load(.test, root: root)
    let counts = (0..<10).map { Int(test.labels.equal(to: $0).sum().item()) }
    #expect(counts == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])
  }

  @Test func theRealCIFARIsRead() throws {
    guard RealData.path("cifar10/test_batch.bin.gz") != nil, let folder = RealData.folder else { return }
    let test = try DataSource("cifar10").load(.test, root: DataRoot(option: folder))
    #expect(test.count == 10_000 && test.imageShape == [3, 32, 32])
    #expect((0..<10).allSatisfy { test.labels.equal(to: $0).sum().item() == 1000 })
    let fine = try DataSource("cifar100").load(.test, root: DataRoot(option: folder))
    #expect(fine.count == 10_000 && fine.classCount == 100)
  }

  @Test func tooFewImagesToValidateOnAreSaid() throws {
    let scratch = try Scratch()
    func parts(_ count: Int) throws -> (train: ImageDataset, validation: ImageDataset) {
      try SafeTensors(
        tensors: [("images", .zeros([count, 1, 2, 2], dtype: .uint8)), ("labels", Tensor((0..<count).map { $0 % 10 }))],
        metadata: [:]
      ).write(to: scratch.file("images"))
      return try DataSource(scratch.file("images")).loadForTraining(root: DataRoot(option: "/nonexistent"))
    }
    let error = #expect(throws: SATError.self) { try parts(40) }
    #expect(error?.message.contains("only 40 training images") == true && error?.message.contains("5 or more a class") == true)
    #expect(try parts(50).validation.count == 10)
  }

  @Test func numpyAndSafetensorsGiveTheSame() throws {
    let folder = Fixtures.path("files")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".npz") }
    #expect(!names.isEmpty)
    var loaded = 0
    for name in names {
      do {
        let data = try DataSource("\(folder)/\(name)").load(.test, root: DataRoot(option: "/n"))
        #expect(data.count > 0 && data.imageShape.count == 3)
        loaded += 1
      } catch let error as SATError {
        #expect(error.message.contains(name))
      } catch let error as TorchError {
        #expect(error.message.contains(name))
      }
    }
    #expect(loaded >= 1, "none of \(names) was read")
  }

  @Test(arguments: [
    ("mnist", "sat data fetch mnist"), ("cifar10", "cifar10"), ("nonsense", "nonsense"), ("/nonexistent.npz", "/nonexistent.npz"),
  ])
  func missingDataAreNamed(name: String, word: String) throws {
    let error = #expect(throws: SATError.self) { try DataSource(name).load(.test, root: DataRoot(option: "/nonexistent")) }
    #expect(error?.message.contains(word) == true)
  }
}
