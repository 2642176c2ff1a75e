import ArgumentParser
import SAT

/// The options that say how pictures and arrays become images.
struct ReadingOptions: ParsableArguments {
  @Option(help: .value("nchw|nhwc", "Order of an array's dimensions: channels first or last. Default: recognised."))
  var layout: ImageReading.Layout?

  @Option(
    help: .value("n", "Resize the shorter edge of pictures and arrays to n pixels. Default: only if their size does not fit."))
  var resize: Int?

  @Option(help: .value("n", "Take the middle n x n pixels, after --resize. Default: all, or the model's size if it does not fit."))
  var crop: Int?

  @Option(
    help: .value(
      "name",
      "Preprocessing as RobustBench names it: \(Preprocessing.named.map(\.name).joined(separator: ", ")). Default: only "
        + "what the model's size needs."))
  var preprocess: String?

  @Option(help: .value("name", "Corruption of a folder such as CIFAR-10-C.")) var corruption: String?
  @Option(help: .value("n", "Severity of the corruption, 1 to 5. Default: all.")) var severity: Int?

  func validate() throws {
    try check("--resize", resize, in: 1...4096)
    try check("--crop", crop, in: 1...4096)
    try check("--severity", severity, in: 1...5)
    if preprocess != nil, resize != nil || crop != nil {
      throw ValidationError("--preprocess sets --resize and --crop; leave them out.")
    }
  }

  /// True if one of the options is given.
  var isGiven: Bool { layout != nil || resize != nil || crop != nil || preprocess != nil || corruption != nil || severity != nil }

  /// The choices, with the images that a model takes.
  func reading(for model: LoadedModel?) throws -> ImageReading {
    var preprocessing = try preprocess.map { try Preprocessing(named: $0) }
    if resize != nil || crop != nil { preprocessing = Preprocessing(resize: resize, crop: crop) }
    var reading = ImageReading(
      layout: layout, preprocessing: preprocessing, corruption: corruption, severity: severity, modelShape: model?.inputShape)
    if let model { reading.accepts = model.takes }
    return reading
  }
}

struct SplitOption: ParsableArguments {
  @Option(help: "Part of the data set: train, validation or test. Default: test.") var split: DataSource.Split?
  @OptionGroup var reading: ReadingOptions

  /// Loads the images of the split, by default of the test set.
  ///
  /// - Throws: `ValidationError` if --split is given but the data have no parts.
  func load(_ source: String, root: DataRoot, for model: LoadedModel? = nil) throws -> ImageDataset {
    let dataset = try DataSource(source).load(split ?? .test, root: root, reading: reading.reading(for: model))
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
      Images to use: \(DataSource.names.joined(separator: ", ")), or a path. The path names a .safetensors, .npz, .npy or .pt file \
      with images and labels, a CIFAR batch, a data set's folder, or a folder of pictures with one sub-folder per class. \
      IMAGES.npy,LABELS.npy names two files. Default: the run's data.
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

  func load(_ source: String, root: DataRoot, for model: LoadedModel) throws -> ImageDataset {
    let dataset = try part.load(source, root: root, for: model)
    return try range().map { try dataset.subset($0) } ?? dataset
  }
}
