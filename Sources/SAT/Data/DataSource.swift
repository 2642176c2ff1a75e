internal import Foundation
internal import SwiftTorch

/// What `--data` names: a data set under the data root, a folder of pictures, or a file of images and labels.
public struct DataSource: Sendable, Equatable {
  /// The data sets that can be named.
  public static let names = ["digits", "mnist", "cifar10", "cifar100", "imagenette"]
  public enum Split: String, Sendable, CaseIterable, Codable { case train, validation, test }

  public let name: String

  public init(_ name: String) { self.name = name }

  /// Whether there are parts to choose from; a file, or a folder of classes, is one set.
  var hasParts: Bool { Self.names.contains(name) || PictureSplits.isDivided(name) }

  private static let validationFraction = 0.1

  /// Reads the images of a split.
  ///
  /// Validation is a tenth of the training set, by class (`splittingOffValidation`); of CIFAR the first 5,000 training images, as in
  /// the paper's code. Train is what is left. A file, or a folder of classes, is taken whole for every split.
  /// - Throws: a sentence when the data are not there or not what they should be.
  public func load(_ split: Split, root: DataRoot) throws -> ImageDataset {
    switch name {
    case "digits":
      return try Self.mnist(name, split, folder: DigitsLocation.find(dataRoot: root))
    case "mnist":
      return try Self.mnist(name, split, folder: root.appending("mnist"))
    case "cifar10", "cifar100":
      return try CIFAR(name: name, folder: root.appending(name)).load(split)
    case "imagenette":
      return try imagenette(root).load(split)
    default:
      guard FileManager.default.fileExists(atPath: name) else {
        throw SATError(
          "data '\(name)' is neither a data set nor a file; expected one of \(Self.names.joined(separator: ", ")), the path of a .safetensors "
            + "or .npz file with images and labels, of a CIFAR .bin file, or of a folder of pictures with a sub-folder a class"
            + (name.hasPrefix("/") ? "" : "; a path is looked for from \(FileManager.default.currentDirectoryPath)"))
      }
      guard FileManager.default.isFolder(name) else { return try ImageFile.load(name) }
      if PictureSplits.isDivided(name) { return try PictureSplits(name: name, folder: name).load(split) }
      return try PictureFolder(name).dataset(name: name, split: "file")
    }
  }

  /// Training and validation parts, reading the files once.
  ///
  /// - Throws: as `load`, also when there are too few images for a validation part.
  public func loadForTraining(root: DataRoot) throws -> (train: ImageDataset, validation: ImageDataset) {
    let parts = try trainingParts(root)
    guard parts.train.count > 0, parts.validation.count > 0 else {
      let count = parts.train.count + parts.validation.count
      throw SATError("\(name) holds only \(count) images to train on, of which no tenth of a class can be validated on; expected 5 or more a class")
    }
    return parts
  }

  private func trainingParts(_ root: DataRoot) throws -> (train: ImageDataset, validation: ImageDataset) {
    switch name {
    case "digits":
      return try Self.whole(name, "train", DigitsLocation.find(dataRoot: root)).splittingOffValidation(Self.validationFraction)
    case "mnist":
      return try Self.whole(name, "train", root.appending("mnist")).splittingOffValidation(Self.validationFraction)
    case "cifar10", "cifar100":
      return try CIFAR(name: name, folder: root.appending(name)).trainingParts()
    case "imagenette":
      return try imagenette(root).trainingParts()
    default:
      if PictureSplits.isDivided(name) { return try PictureSplits(name: name, folder: name).trainingParts() }
      return try load(.train, root: root).splittingOffValidation(Self.validationFraction)
    }
  }

  private func imagenette(_ root: DataRoot) -> PictureSplits {
    PictureSplits(name: name, folder: root.appending(name), titles: PictureSplits.imagenetteTitles)
  }

  private static func mnist(_ name: String, _ split: Split, folder: String) throws -> ImageDataset {
    if split == .test { return try whole(name, "t10k", folder) }
    let parts = try whole(name, "train", folder).splittingOffValidation(validationFraction)
    return split == .train ? parts.train : parts.validation
  }

  /// The IDX pair `<prefix>-images-idx3-ubyte[.gz]` and `<prefix>-labels-idx1-ubyte[.gz]` of a folder.
  private static func whole(_ name: String, _ prefix: String, _ folder: String) throws -> ImageDataset {
    func path(_ stem: String) throws -> String {
      let plain = "\(folder)/\(prefix)-\(stem)-ubyte"
      guard let found = [plain, plain + ".gz"].first(where: FileManager.default.fileExists(atPath:)) else {
        throw SATError(
          "\(name): \(plain)[.gz] is not there; get it with `sat data fetch mnist`, or say where the data are with --data-root")
      }
      return found
    }
    let (images, labels) = try IDXFile.readPair(images: path("images-idx3"), labels: path("labels-idx1"))
    return try ImageDataset(
      name: name, split: prefix == "train" ? "train" : "test", images: images.tensor().unsqueezed(dim: 1),
      labels: labels.tensor().to(.int64))
  }
}
