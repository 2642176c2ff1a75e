import FileCodecs
import Foundation
import SAT
import SwiftTorch
import Testing

/// `sat data` as a user runs it.
@Suite struct DataCommandTests {
  @Test func aPictureOfTheDigits() throws {
    let scratch = try Scratch()
    let shown = try Command.run([
      "data", "show", "digits", "--out", scratch.file("d.png"), "--count", "10", "--columns", "4", "--first", "--json",
    ])
    #expect(shown.status == 0, "\(shown.errors)")
    let labels = try #require(shown.json["labels"] as? [Int])
    let data = try DataSource("digits").load(.test, root: DataRoot())
    #expect(labels == data.labels[..<10].array(of: Int.self))
    // Three rows of four, three times as large: the first image stands in its corner, pixel by pixel.
    let sheet = try ImageCodec.decode(FileBytes.read(scratch.file("d.png")))
    #expect(sheet.shape == [3, 3 * (84 + 2) + 2, 4 * (84 + 2) + 2])
    let corner = sheet[0, .stride(from: 2, to: 86, by: 3), .stride(from: 2, to: 86, by: 3)]
    #expect(corner.isEqual(to: try data.images[0, 0]))
    #expect(try Command.run(["data", "show", "digits", "--out", "/nonexistent/d.png"]).sentence.contains("/nonexistent/d.png"))
    #expect(
      try Command.run(["data", "show", "digits", "--out", scratch.file("e.png"), "--augmentation", "blur"]).sentence.contains(
        "none, crop"))
    #expect(!FileManager.default.fileExists(atPath: scratch.file("e.png")))
    #expect(try Command.run(["data", "show", "digits", "--out", "x.png", "--count", "0"]).status == 64)
  }

  @Test func optionsSayHowImagesAreRead() throws {
    let scratch = try Scratch()
    let fixtures = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Fixtures/datasets").standardized.path
    func show(_ data: String, _ options: String...) throws -> Command.Outcome {
      try Command.run(["data", "show", "\(fixtures)/\(data)", "--out", scratch.file("d.png"), "--first", "--json"] + options)
    }
    let fog = try show("CIFAR-10-C", "--corruption", "fog", "--severity", "2", "--preprocess", "Crop288")
    #expect(fog.status == 0 && fog.json["imageShape"] as? [Int] == [3, 288, 288], "\(fog.errors)")
    #expect(fog.errors.contains("are read with channels last") && fog.errors.contains("cropped to the middle 288 x 288"))
    let first = try show("image_label.npz", "--layout", "nchw")
    #expect(first.status == 1 && first.sentence.contains("images of 5 channels"), "\(first.errors)")
    #expect(try show("pair", "--preprocess", "Res9").sentence.contains("Res256Crop224"))
    #expect(try show("pair", "--preprocess", "Res224", "--resize", "9").status == 64)
    #expect(try show("pair", "--severity", "6").status == 64)
    #expect(try show("cifar-10-batches-py", "--crop", "9").sentence.contains("images have one fixed size"))
  }

  @Test func apartOfImagenetteIsNotAllOfIt() throws {
    let scratch = try Scratch()
    for part in ["train", "val"] {
      try FileManager.default.createDirectory(atPath: scratch.file("imagenette/\(part)/a"), withIntermediateDirectories: true)
    }
    let list = try Command.run(["data", "list", "--data-root", scratch.path])
    #expect(
      list.output.contains("missing: `sat data fetch imagenette`"), "\(list.output)")
    let fetch = try Command.run(["data", "fetch", "imagenette", "--data-root", scratch.path])
    #expect(fetch.status == 1 && fetch.sentence.contains("0 of 9469 pictures"), "\(fetch.errors)")
  }

  @Test func theListNamesAllOfThem() throws {
    let list = try Command.run(["data", "list", "--json", "--data-root", "/nonexistent"])
    let datasets = try #require(list.json["datasets"] as? [[String: Any]])
    #expect(datasets.compactMap { $0["name"] as? String } == ["digits", "mnist", "cifar10", "cifar100", "imagenette"])
    #expect(
      datasets.dropFirst().allSatisfy {
        $0["present"] as? Bool == false && ($0["advice"] as? String)?.contains("sat data fetch") == true
      })
  }
}
