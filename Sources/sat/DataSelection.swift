import ArgumentParser
import SAT

/// Which images a command looks at.
struct DataSelection: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "\(DataSource.names.joined(separator: ", ")), or the path of a .safetensors or .npz file (images, labels), of a CIFAR .bin file, or of a "
        + "folder of pictures with a sub-folder a class. Default: the run's.", valueName: "name|path"))
  var data: String?

  @Option(help: "Part of a data set: train, validation or test. Default: test.")
  var split: DataSource.Split?

  @Option(help: ArgumentHelp("Only the first N samples.", valueName: "n"))
  var first: Int?

  @Option(help: ArgumentHelp("Only the samples from a up to, not with, b.", valueName: "a:b"))
  var indices: String?

  func validate() throws {
    try check("--first", first, in: Limit.samples)
    if first != nil && indices != nil { throw ValidationError("--first and --indices exclude each other.") }
    _ = try range()
  }

  /// The stretch that was asked for.
  func range() throws -> Range<Int>? {
    guard let indices else { return first.map { 0..<$0 } }
    let parts = indices.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
    guard parts.count == 2, let a = parts[0], let b = parts[1], a >= 0, a < b else {
      throw ValidationError("--indices \(indices) is not a stretch; expected a:b with 0 <= a < b.")
    }
    return a..<b
  }

  func load(_ source: String, root: DataRoot) throws -> ImageDataset {
    let dataset = try DataSource(source).load(typed: split, root: root)
    return try range().map { try dataset.subset($0) } ?? dataset
  }
}

extension DataSource {
  /// - Parameter split: what was typed; nil for the test set.
  /// - Throws: `ValidationError` when the data have no parts to choose from.
  func load(typed split: Split?, root: DataRoot) throws -> ImageDataset {
    let dataset = try load(split ?? .test, root: root)
    if let split, dataset.split == "file" {
      throw ValidationError("--split \(split.rawValue) chooses a part of a data set, and \(name) has no parts; leave it out.")
    }
    return dataset
  }
}
