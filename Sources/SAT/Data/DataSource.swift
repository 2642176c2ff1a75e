internal import Foundation
internal import SwiftTorch

/// The value of `--data`: a data set under the data root, a folder, a file of images and labels, or two files.
public struct DataSource: Sendable, Equatable {
  /// The names of the known data sets.
  public static var names: [String] { KnownData.all.map(\.name) }

  /// The part of a data set.
  public enum Split: String, Sendable, CaseIterable, Codable { case train, validation, test }

  public let name: String

  public init(_ name: String) { self.name = name }

  /// True if the data have splits to choose from; a file or a folder of classes has only one part.
  var hasParts: Bool { Self.names.contains(name) || ((try? unnamedParts(ImageReading()).hasParts) ?? false) }

  /// The files and folders that the data lie in, as far as they are there.
  public func paths(root: DataRoot) -> [String] {
    if let known = KnownData.all.first(where: { $0.name == name }) { return (try? [known.folder(root)]) ?? [] }
    return pair ?? [name]
  }

  /// Reads the images of a split.
  ///
  /// Validation is a tenth of each class of the training set (`splittingOffValidation`). For CIFAR it is the first 5,000 training
  /// images, as in the paper's code. Train is the rest. For a file or a folder of classes, every split is the whole.
  /// - Throws: `SATError` or `TorchError` when the data are missing or wrong, or `reading` has a choice without a meaning for them.
  public func load(_ split: Split, root: DataRoot, reading: ImageReading = ImageReading()) throws -> ImageDataset {
    try checked(parts(root, reading), reading).load(split)
  }

  /// Reads the training and the validation part in one pass over the files.
  ///
  /// - Throws: the errors of `load`, and `SATError` when there are too few images for a validation part.
  public func loadForTraining(
    root: DataRoot, reading: ImageReading = ImageReading()
  ) throws -> (train: ImageDataset, validation: ImageDataset) {
    let parts = try checked(parts(root, reading), reading).trainingParts()
    guard parts.train.count > 0, parts.validation.count > 0 else {
      let count = parts.train.count + parts.validation.count
      throw SATError(
        "\(name) has only \(count) training images, too few to keep a tenth of each class for validation; expected 5 or more a "
          + "class")
    }
    return parts
  }

  func parts(_ root: DataRoot, _ reading: ImageReading = ImageReading()) throws -> any ImageParts {
    if let known = KnownData.all.first(where: { $0.name == name }) {
      return try known.parts(known.name, known.folder(root), reading)
    }
    return try unnamedParts(reading)
  }

  /// Refuses choices that these data would ignore.
  private func checked(_ parts: any ImageParts, _ reading: ImageReading) throws(SATError) -> any ImageParts {
    guard let useless = reading.choices.first(where: { !parts.usedChoices.contains($0) }) else { return parts }
    let (option, reason) = useless.text
    throw SATError("\(option) does not apply to \(name), \(reason); leave it out")
  }

  /// The two files of `IMAGES.npy,LABELS.npy`; nil for one path.
  private var pair: [String]? {
    let parts = name.components(separatedBy: ",")
    return parts.count == 2 && !FileManager.default.fileExists(atPath: name) ? parts : nil
  }

  /// Recognises the data at a path by what lies there.
  private func unnamedParts(_ reading: ImageReading) throws -> any ImageParts {
    let manager = FileManager.default
    if let pair {
      return ArrayImages(
        name: name, arrays: NamedArrays(name, files: [("images", pair[0]), ("labels", pair[1])]), reading: reading)
    }
    guard manager.fileExists(atPath: name) else {
      throw SATError(
        "data '\(name)' is neither a data set nor a file; expected one of \(Self.names.joined(separator: ", ")), the path of a "
          + ".safetensors, .npz, .npy or .pt file with images and labels, of a CIFAR batch, or of a folder"
          + (name.hasPrefix("/") ? "" : "; a relative path starts at \(manager.currentDirectoryPath)"))
    }
    return manager.isFolder(name) ? try folderParts(reading) : try fileParts(reading)
  }

  private func folderParts(_ reading: ImageReading) throws -> any ImageParts {
    if let (known, folder) = KnownData.recognised(in: name) { return try known.parts(name, folder, reading) }
    if let arrays = NamedArrays(folder: name) { return ArrayImages(name: name, arrays: arrays, reading: reading) }
    if PictureSplits.isDivided(name) { return PictureSplits(name: name, folder: name, reading: reading) }
    guard let corruption = reading.corruption else { return UndividedImages(path: name, folder: name, reading: reading) }
    // ImageNet-C has CORRUPTION/SEVERITY/CLASS.
    guard let severity = reading.severity else {
      throw SATError("\(name) has a folder for each severity; choose one of 1 to \(CorruptedImages.severities) with --severity")
    }
    return UndividedImages(
      path: "\(name) (\(corruption), severity \(severity))", folder: "\(name)/\(corruption)/\(severity)", reading: reading,
      isCorrupted: true)
  }

  private func fileParts(_ reading: ImageReading) throws -> any ImageParts {
    let file = try FileContents.read(name, expecting: "images and labels")
    if file.kind == .npy {
      let labels = ((name as NSString).deletingLastPathComponent as NSString).appendingPathComponent("labels.npy")
      guard FileManager.default.isFile(labels) else {
        throw SATError(
          "\(name) is one array, and there is no \(labels) beside it; give both files, as --data \(name),LABELS.npy")
      }
      let stem = ((name as NSString).lastPathComponent as NSString).deletingPathExtension
      let folder = (labels as NSString).deletingLastPathComponent
      if ArrayRole(stem) == nil, reading.severity != nil || CorruptedImages.isHere(folder) {
        var reading = reading
        reading.corruption = stem
        return CorruptedImages(name: folder, folder: folder.isEmpty ? "." : folder, reading: reading)
      }
      return ArrayImages(name: name, arrays: NamedArrays(name, files: [("images", name), ("labels", labels)]), reading: reading)
    }
    if let arrays = try NamedArrays(file) { return ArrayImages(name: name, arrays: arrays, reading: reading) }
    return BatchFile(file: file)
  }
}

/// A source of images in parts for training, validation and testing.
protocol ImageParts {
  /// False if every split is the whole.
  var hasParts: Bool { get }
  /// The user's choices that change how these data are read. Default: none.
  var usedChoices: Set<ReadingChoice> { get }
  func load(_ split: DataSource.Split) throws -> ImageDataset

  /// Reads the training and the validation part in one pass over the files.
  func trainingParts() throws -> (train: ImageDataset, validation: ImageDataset)
  func testPart() throws -> ImageDataset

  /// Returns the state of the training or the test images, without reading them. Default: whole, for data of one file or folder.
  func state(of split: DataSource.Split) -> PartState
}

extension ImageParts {
  var hasParts: Bool { true }
  var usedChoices: Set<ReadingChoice> { [] }
  func state(of split: DataSource.Split) -> PartState { .whole }

  func load(_ split: DataSource.Split) throws -> ImageDataset {
    guard hasParts else { return try testPart() }
    switch split {
    case .train: return try trainingParts().train
    case .validation: return try trainingParts().validation
    case .test: return try testPart()
    }
  }
}

/// A folder of classes; every split is the whole.
private struct UndividedImages: ImageParts {
  /// The name in reports.
  let path: String
  let folder: String
  let reading: ImageReading
  /// True for a part of ImageNet-C.
  var isCorrupted = false

  var hasParts: Bool { false }
  var usedChoices: Set<ReadingChoice> { isCorrupted ? [.preprocessing, .corruption, .severity] : [.preprocessing] }
  func trainingParts() throws -> (train: ImageDataset, validation: ImageDataset) { try testPart().splittingOffValidation() }
  func testPart() throws -> ImageDataset { try ImageDataset(folder: folder, name: path, split: "file", reading: reading) }
}

/// One batch file of CIFAR; every split is the whole.
private struct BatchFile: ImageParts {
  let file: FileContents

  var hasParts: Bool { false }
  func trainingParts() throws -> (train: ImageDataset, validation: ImageDataset) { try testPart().splittingOffValidation() }

  func testPart() throws -> ImageDataset {
    if let batch = try CIFAR.file(file.name, file.bytes()) { return batch }
    throw SATError(
      "\(file.name) holds no images that sat knows; expected a .safetensors, .npz, .npy or .pt file with images and labels, or a "
        + "batch of CIFAR, a whole number of records of 3073 or 3074 bytes")
  }
}
