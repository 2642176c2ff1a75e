import ArgumentParser
import SAT

struct SplitOption: ParsableArguments {
  @Option(help: "Part of the data set: train, validation or test. Default: test.") var split: DataSource.Split?

  /// Loads the images of the split, by default of the test set.
  ///
  /// - Throws: `ValidationError` if --split is given but the data have no parts.
  func load(_ source: String, root: DataRoot) throws -> ImageDataset {
    let dataset = try DataSource(source).load(split ?? .test, root: root)
    for note in dataset.notes { Terminal.standardError.line("\(source): \(note)") }
    if let split, dataset.split == "file" {
      throw ValidationError("--split \(split.rawValue) does not apply to \(source), which has no parts; leave it out.")
    }
    return dataset
  }
}

struct DataSelection: ParsableArguments {
  @Option(
    help: .value(
      "name|path",
      """
      Images to use: \(DataSource.names.joined(separator: ", ")), or a path. The path names a .safetensors or .npz file (images, \
      labels), a CIFAR .bin file, or a folder of pictures with one sub-folder per class. Default: the run's data.
      """)) var data: String?

  @OptionGroup var part: SplitOption
  @Option(help: .value("n", "Use only the first n samples. Default: all.")) var first: Int?
  @Option(help: .value("a:b", "Use only the samples a to b - 1, counted from 0. Default: all.")) var indices: String?

  func validate() throws {
    try check("--first", first, in: Limit.samples)
    if first != nil && indices != nil { throw ValidationError("--first and --indices exclude each other; leave one of them out.") }
    _ = try range()
  }

  /// The samples that --first or --indices names; nil for all.
  func range() throws -> Range<Int>? {
    guard let indices else { return first.map { 0..<$0 } }
    let parts = indices.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
    guard parts.count == 2, let a = parts[0], let b = parts[1], a >= 0, a < b else {
      throw ValidationError("--indices \(indices) is not a range; expected a:b with 0 <= a < b.")
    }
    return a..<b
  }

  func load(_ source: String, root: DataRoot) throws -> ImageDataset {
    let dataset = try part.load(source, root: root)
    return try range().map { try dataset.subset($0) } ?? dataset
  }
}
