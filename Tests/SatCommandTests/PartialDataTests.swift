import Foundation
import SwiftTorch
import Testing

/// Data sets of which only a part is there: every command gives the same answer.
@Suite(.serialized, .timeLimit(.minutes(10))) struct PartialDataTests {
  private func write(_ bytes: [UInt8], _ scratch: Scratch, _ path: String) throws {
    let file = scratch.file(path)
    try FileManager.default.createDirectory(
      atPath: (file as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
    try AtomicFile.write(bytes, to: file)
  }

  private func answers(_ scratch: Scratch, _ name: String) throws -> (place: String?, advice: String) {
    let listing = try Command.run(["data", "list", "--data-root", scratch.file("data"), "--json"]).json
    let datasets = try #require(listing["datasets"] as? [[String: Any]])
    let found = try #require(datasets.first { $0["name"] as? String == name })
    #expect(found["present"] as? Bool == false)
    return (found["location"] as? String, found["advice"] as? String ?? "")
  }

  private func missing(_ scratch: Scratch, _ item: String, _ setting: String, scale: String) throws -> [String] {
    let plan = try Command.run(
      ["reproduce", item, "--settings", setting, "--scale", scale, "--plan", "--json", "--data-root", scratch.file("data")])
    return try #require(plan.json["missingData"] as? [String], "\(plan.errors)")
  }

  @Test func onlyTheTestImagesOfMNIST() throws {
    let scratch = try Scratch()
    let (root, model) = (["--data-root", scratch.file("data")], try scratch.untrained(count: 4).model)
    var images: [UInt8] = [0, 0, 8, 3, 0, 0, 0, 20, 0, 0, 0, 28, 0, 0, 0, 28]
    images.append(contentsOf: Array(repeating: 9, count: 20 * 784))
    var labels: [UInt8] = [0, 0, 8, 1, 0, 0, 0, 20]
    for i in 0..<20 { labels.append(UInt8(i % 4)) }
    try write(images, scratch, "data/mnist/t10k-images-idx3-ubyte")
    try write(labels, scratch, "data/mnist/t10k-labels-idx1-ubyte")
    let (place, advice) = try answers(scratch, "mnist")
    #expect(place == scratch.file("data/mnist") && advice.contains("training images: none; test images: all"), "\(advice)")
    let evaluation = try Command.run(["evaluate", model, "--data", "mnist", "--attack", "clean"] + root)
    #expect(evaluation.status == 0, "\(evaluation.errors)")
    let show = ["data", "show", "mnist", "--out", scratch.file("sheet.png")] + root
    #expect(try Command.run(show + ["--split", "test"]).status == 0)
    let refusals = [
      try Command.run(show + ["--split", "train"]), try Command.run(["train", "mnist-0.3", "--run", scratch.file("run")] + root),
    ]
    for refusal in refusals {
      #expect(refusal.status == 1 && refusal.sentence.contains("train-images-idx3-ubyte[.gz] is not there"), "\(refusal.errors)")
    }
    let reasons = try missing(scratch, "table-2", "mnist-0.3", scale: "paper")
    #expect(reasons.count == 1 && reasons[0].contains("train-images-idx3-ubyte[.gz] is not there"), "\(reasons)")
  }

  @Test func oneTrainingFileOfCIFAR10() throws {
    let scratch = try Scratch()
    let root = ["--data-root", scratch.file("data")]
    func batch(_ count: Int) -> [UInt8] {
      var bytes: [UInt8] = []
      for i in 0..<count {
        bytes.append(UInt8(i % 10))
        bytes.append(contentsOf: Array(repeating: UInt8(i % 251), count: 3072))
      }
      return bytes
    }
    try write(batch(5060), scratch, "data/cifar10/data_batch_1.bin")
    try write(batch(20), scratch, "data/cifar10/test_batch.bin")
    let (place, advice) = try answers(scratch, "cifar10")
    #expect(place == scratch.file("data/cifar10"))
    #expect(advice.contains("training images: 1 of 5 files; test images: all; `sat` uses what is there"), "\(advice)")
    let note = "only 1 of the 5 train files are there"
    let sheet = try Command.run(["data", "show", "cifar10", "--split", "train", "--out", scratch.file("sheet.png")] + root)
    #expect(sheet.status == 0 && sheet.errors.contains(note), "\(sheet.errors)")
    let training = try Command.run(
      ["train", "cifar10-prn20", "--model", "cnn-a", "--epochs", "1", "--set", "attack.steps=1", "--run", scratch.file("run")]
        + root)
    #expect(training.status == 0 && training.errors.contains(note), "\(training.errors)")
    let evaluation = try Command.run(["evaluate", scratch.file("run"), "--attack", "fgsm"] + root)
    #expect(evaluation.status == 0, "\(evaluation.errors)")
    #expect(try missing(scratch, "table-1", "cifar10-prn20", scale: "smoke").isEmpty)
    let reasons = try missing(scratch, "table-1", "cifar10-prn20", scale: "paper")
    #expect(reasons.count == 1 && reasons[0].contains("1 of 5 files"), "\(reasons)")
  }
}
