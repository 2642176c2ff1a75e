internal import Foundation

/// The value of `--data`: a data set under the data root, a folder of pictures, or a file of images and labels.
public struct DataSource: Sendable, Equatable {
  /// A new data set needs one more entry here.
  private static let known: KeyValuePairs<String, @Sendable (DataRoot) throws -> any ImageParts> = [
    "digits": { IDXFolder(name: "digits", folder: try DigitsLocation.find(dataRoot: $0)) },
    "mnist": { IDXFolder(name: "mnist", folder: $0.appending("mnist")) },
    "cifar10": { CIFAR(classes: 10, folder: $0.appending("cifar10")) },
    "cifar100": { CIFAR(classes: 100, folder: $0.appending("cifar100")) },
    "imagenette": {
      PictureSplits(name: "imagenette", folder: $0.appending("imagenette"), titles: PictureSplits.imagenetteTitles)
    },
  ]
  /// The names of the known data sets.
  public static let names = known.map(\.key)

  public enum Split: String, Sendable, CaseIterable, Codable { case train, validation, test }

  public let name: String

  public init(_ name: String) { self.name = name }

  /// True if the data have splits to choose from; a file or a folder of classes has only one part.
  var hasParts: Bool { Self.names.contains(name) || PictureSplits.isDivided(name) }

  /// Reads the images of a split.
  ///
  /// Validation is a tenth of each class of the training set (`splittingOffValidation`). For CIFAR it is the first 5,000 training
  /// images, as in the paper's code. Train is the rest. For a file or a folder of classes, every split is the whole.
  /// - Throws: `SATError` or `TorchError` when the data are missing or wrong.
  public func load(_ split: Split, root: DataRoot) throws -> ImageDataset { try parts(root).load(split) }

  /// Reads the training and the validation part in one pass over the files.
  ///
  /// - Throws: the errors of `load`, and `SATError` when there are too few images for a validation part.
  public func loadForTraining(root: DataRoot) throws -> (train: ImageDataset, validation: ImageDataset) {
    let parts = try parts(root).trainingParts()
    guard parts.train.count > 0, parts.validation.count > 0 else {
      let count = parts.train.count + parts.validation.count
      throw SATError(
        "\(name) has only \(count) training images, too few to keep a tenth of each class for validation; expected 5 or more a "
          + "class")
    }
    return parts
  }

  func parts(_ root: DataRoot) throws -> any ImageParts {
    if let known = Self.known.first(where: { $0.key == name }) { return try known.value(root) }
    guard FileManager.default.fileExists(atPath: name) else {
      throw SATError(
        "data '\(name)' is neither a data set nor a file; expected one of \(Self.names.joined(separator: ", ")), the path of a "
          + ".safetensors or .npz file with images and labels, of a CIFAR .bin file, or of a folder of pictures with a sub-folder "
          + "a class" + (name.hasPrefix("/") ? "" : "; a relative path starts at \(FileManager.default.currentDirectoryPath)"))
    }
    return PictureSplits.isDivided(name) ? PictureSplits(name: name, folder: name) : UndividedImages(path: name)
  }
}

/// A source of images in parts for training, validation and testing.
protocol ImageParts {
  func load(_ split: DataSource.Split) throws -> ImageDataset

  /// Reads the training and the validation part in one pass over the files.
  func trainingParts() throws -> (train: ImageDataset, validation: ImageDataset)
  func testPart() throws -> ImageDataset

  /// Returns the state of the training or the test images, without reading them.
  func state(of split: DataSource.Split) -> PartState
}

extension ImageParts {
  func load(_ split: DataSource.Split) throws -> ImageDataset {
    switch split {
    case .train: try trainingParts().train
    case .validation: try trainingParts().validation
    case .test: try testPart()
    }
  }
}

/// A file or a folder of classes; every split is the whole.
private struct UndividedImages: ImageParts {
  let path: String

  func load(_ split: DataSource.Split) throws -> ImageDataset { try testPart() }
  func state(of split: DataSource.Split) -> PartState { .whole }
  func trainingParts() throws -> (train: ImageDataset, validation: ImageDataset) { try testPart().splittingOffValidation() }

  func testPart() throws -> ImageDataset {
    guard FileManager.default.isFolder(path) else { return try ImageFile.load(path) }
    return try ImageDataset(folder: path, name: path, split: "file")
  }
}
