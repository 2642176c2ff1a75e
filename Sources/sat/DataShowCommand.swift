import ArgumentParser
import SAT
import SwiftTorch

struct DataShowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Draw labelled images of a data set in one picture.",
    usage: "sat data show NAME|PATH --out FILE.png [--split train|validation|test] [--count N] [--augmentation NAME]",
    discussion: """
      Writes a PNG file and prints the labels row by row. Chooses the images at random; --first takes the first ones.

      EXAMPLES:
        sat data show cifar10 --out cifar10.png
        sat data show imagenette --split train --augmentation imagenette \\
          --count 16 --out crops.png
        sat data show pictures/ --first --count 40 --out sheet.png
      """)

  @Argument(help: "Data set that `sat data list` names, folder of pictures, or file of images and labels.") var data: String
  @Option(help: .value("file", "PNG file to write.")) var out: String
  @OptionGroup var part: SplitOption
  @Option(help: .value("n", "Number of images.")) var count = 32
  @Option(help: .value("n", "Images per row.")) var columns = 8
  @Flag(help: "Take the first images instead of a random choice.") var first = false
  @Option(help: .value("name", "Augmentation of training to apply: none, crop, paper or imagenette.")) var augmentation = "none"
  @Option(help: .value("n", "Seed of the random choice and of the augmentation.")) var seed: UInt64 = 0
  @OptionGroup var dataOptions: DataOptions
  @OptionGroup var output: OutputOptions

  private struct Document: Encodable {
    var format = "sat-data-show/1"
    var data: String
    var split: String
    var samples: Int
    var imageShape: [Int]
    var picture: String
    var indices: [Int]
    var labels: [Int]
    var names: [String]
  }

  func validate() throws {
    try check("--count", count, in: 1...10_000)
    try check("--columns", columns, in: 1...1_000)
  }

  func run() throws {
    try output.begin("reading the images", writing: out, reading: .data(data, root: dataOptions.root))
    let transformation = try Augmentation(named: augmentation)
    let dataset = try part.load(data, root: dataOptions.root)
    guard dataset.imageShape[0] == 1 || dataset.imageShape[0] == 3 else {
      throw SATError("\(data) has images of \(dataset.imageShape[0]) channels, but a picture shows 1 or 3; name other data")
    }
    let generator = Generator(seed: seed)
    let order = first ? Array(0..<dataset.count) : Tensor.randperm(dataset.count, generator: generator).array(of: Int.self)
    let chosen = Array(order.prefix(count))
    let loader = BatchLoader(
      dataset, batchSize: chosen.count, order: chosen, augmentation: transformation, generator: generator, depth: 0)
    guard let batch = try loader.next() else { return }
    try AtomicFile.write(ContactSheet(columns: columns).png(batch.images), to: out)
    let labels = batch.labels.array(of: Int.self)
    let names = labels.map { dataset.classNames.indices.contains($0) ? dataset.classNames[$0] : "\($0)" }
    let document = Document(
      data: dataset.name, split: dataset.split, samples: dataset.count, imageShape: dataset.imageShape, picture: out,
      indices: chosen, labels: labels, names: names)
    let size = dataset.imageShape.map(String.init).joined(separator: "x")
    let title = "\(dataset.name) \(dataset.split): \(chosen.count) of \(dataset.count) images of \(size) in \(out)\n"
    let rows = names.indices.chunks(of: columns).map { names[$0].joined(separator: ", ") + "\n" }
    try output.deliver(document, text: title + rows.joined())
  }
}
