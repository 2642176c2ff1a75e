public import SwiftTorch

/// Labelled images, in memory or in files that are decoded when they are asked for.
public struct ImageDataset {
  private enum Storage {
    /// [N, C, H, W]: uint8, or float32 in [0, 1].
    case memory(Tensor)
    case files(PictureFiles)
  }

  /// What it is called in reports: a data set's name or a file's path.
  public var name: String
  /// "train", "validation" or "test"; what the file is, for a file of one's own.
  public var split: String
  private let storage: Storage
  /// [N], int64.
  public let labels: Tensor
  /// By label; empty where the data do not say.
  public let classNames: [String]

  /// - Parameter images: [N, C, H, W], uint8, or float32 in [0, 1].
  /// - Throws: `SATError` when the two do not fit together, a label is negative, or a value lies outside [0, 1] or is not finite.
  public init(name: String, split: String, images: Tensor, labels: Tensor, classNames: [String] = []) throws(SATError) {
    guard images.ndim == 4, images.dtype == .uint8 || images.dtype == .float32 else {
      throw SATError(
        "\(name): the images have shape \(images.shape) and type \(images.dtype); expected [N, C, H, W] of uint8, or of float32 in [0, 1]")
    }
    try Self.check(labels, count: images.size(0), name)
    guard images.count > 0 else { throw SATError("\(name): the images have shape \(images.shape); expected sizes of at least 1") }
    if images.dtype == .float32 {
      let (low, high) = (images.min().item(), images.max().item())
      guard low.isFinite, high.isFinite else {
        throw SATError("\(name): some pixels are NaN or infinite; expected numbers in [0, 1], so look at how the file was made")
      }
      guard low >= 0, high <= 1 else {
        throw SATError(
          "\(name): the images lie between \(low) and \(high); expected [0, 1], so divide by 255 or undo a normalisation first")
      }
    }
    self.init(unchecked: name, split, .memory(images), labels, classNames)
  }

  init(name: String, split: String, files: PictureFiles, labels: Tensor, classNames: [String]) throws(SATError) {
    try Self.check(labels, count: files.paths.count, name)
    self.init(unchecked: name, split, .files(files), labels, classNames)
  }

  private static func check(_ labels: Tensor, count: Int, _ name: String) throws(SATError) {
    guard labels.ndim == 1, labels.dtype == .int64, labels.count == count else {
      throw SATError("\(name): the labels have shape \(labels.shape) and type \(labels.dtype); expected \(count) of int64, one per image")
    }
    guard count > 0 else { throw SATError("\(name) holds no images") }
    guard labels.min().item() >= 0 else { throw SATError("\(name): the smallest label is \(Int(labels.min().item())); expected 0 or more") }
    guard labels.max().item() < Double(mostClasses) else {
      throw SATError("\(name): the largest label is \(labels.max().item()); expected classes counted from 0, below \(mostClasses)")
    }
  }

  /// More than any data set has; a label beyond it is no class.
  private static let mostClasses = 1_000_000

  private init(unchecked name: String, _ split: String, _ storage: Storage, _ labels: Tensor, _ classNames: [String]) {
    self.name = name
    self.split = split
    self.storage = storage
    self.labels = labels
    self.classNames = classNames
  }

  public var count: Int { labels.count }

  /// [C, H, W].
  public var imageShape: [Int] {
    switch storage {
    case .memory(let images): Array(images.shape.dropFirst())
    case .files(let files): files.imageShape
    }
  }

  /// One more than the largest label.
  public var classCount: Int { Int(labels.max().item()) + 1 }

  /// Tells data sets apart: by their images and labels, and where pictures are in files by the files' names and the labels.
  var fingerprint: String {
    let images =
      switch storage {
      case .memory(let images): images.fingerprint
      case .files(let files): Fingerprint.of(files.paths.joined(separator: "\n"))
      }
    return String(images ^ labels.fingerprint, radix: 16)
  }

  // MARK: Images

  /// All images [N, C, H, W] as they are kept, uint8 or float32. Of a folder of pictures this decodes every file: prefer `batch`.
  ///
  /// - Throws: as `batch(at:)`.
  public var images: Tensor {
    get throws(TorchError) {
      switch storage {
      case .memory(let images): images
      case .files(let files): try files.images(Array(files.paths.indices))
      }
    }
  }

  /// All images as they are kept, where that is in memory.
  public var imagesInMemory: Tensor? {
    if case .memory(let images) = storage { images } else { nil }
  }

  /// The images at the given int64 positions as float32 in [0, 1], and their labels.
  ///
  /// - Throws: a sentence when a file of a picture cannot be read.
  public func batch(at positions: Tensor) throws(TorchError) -> (images: Tensor, labels: Tensor) {
    let images =
      switch storage {
      case .memory(let images): images.selecting(positions)
      case .files(let files): try files.images(positions.array(of: Int.self))
      }
    return (Self.scaled(images), labels.selecting(positions))
  }

  /// The images of a stretch as float32 in [0, 1], and their labels.
  ///
  /// - Throws: as above.
  public func batch(_ range: Range<Int>) throws(TorchError) -> (images: Tensor, labels: Tensor) {
    let images =
      switch storage {
      case .memory(let images): images[range]
      case .files(let files): try files.images(Array(range))
      }
    return (Self.scaled(images), labels[range])
  }

  // Bytes are divided by 255 in float32, as torchvision's ToTensor does.
  private static func scaled(_ images: Tensor) -> Tensor { images.dtype == .uint8 ? images.to(.float32) / 255.0 : images }

  /// Images for training, [N, C, H, W], float32 in [0, 1], changed at random. A resized crop of a picture in a file is cut from
  /// the whole picture.
  ///
  /// - Throws: as `batch(at:)`.
  func augmented(at positions: [Int], _ augmentation: Augmentation, generator: Generator) throws(TorchError) -> Tensor {
    switch storage {
    case .memory(let images): return augmentation(images.selecting(Tensor(positions)), generator: generator)
    case .files(let files):
      guard augmentation.resizedCrop > 0 else { return augmentation(try files.images(positions), generator: generator) }
      var pictures: [Tensor] = []
      for position in positions { pictures.append(try files.original(position)) }
      let windows = augmentation.windows(sizes: pictures.map { ($0.size(1), $0.size(2)) }, generator: generator)
      let (height, width) = (files.imageShape[1], files.imageShape[2])
      let crops = zip(pictures, windows).map { picture, window in
        picture[.all, window.rows, window.columns].resized(height: height, width: width)
      }
      return augmentation.finished(.stacked(crops), generator: generator)
    }
  }

  // MARK: Parts

  /// The part at the given positions, in their order.
  public func subset(_ positions: Tensor, split: String? = nil) -> ImageDataset {
    let part: Storage =
      switch storage {
      case .memory(let images): .memory(images.selecting(positions))
      case .files(let files): .files(files.selecting(positions.array(of: Int.self)))
      }
    return ImageDataset(unchecked: name, split ?? self.split, part, labels.selecting(positions), classNames)
  }

  /// - Throws: `SATError` when the stretch reaches past the end.
  public func subset(_ range: Range<Int>) throws(SATError) -> ImageDataset {
    guard range.lowerBound >= 0, range.upperBound <= count, !range.isEmpty else {
      throw SATError("samples \(range.lowerBound):\(range.upperBound) of \(name) were asked for; expected a stretch of 0:\(count)")
    }
    let part: Storage =
      switch storage {
      case .memory(let images): .memory(images[range])
      case .files(let files): .files(files.selecting(Array(range)))
      }
    return ImageDataset(unchecked: name, split, part, labels[range], classNames)
  }

  /// Splits off `fraction` of every class, drawn with a fixed seed, for validation.
  ///
  /// Our own rule, since scikit-learn's stratified draw, which the paper's code uses, cannot be reproduced here: per class, in
  /// order of the classes, a random order of its samples from one generator of seed 2020, of which the first
  /// round(fraction · n) are for validation. Both parts keep the order of the data.
  public func splittingOffValidation(_ fraction: Double = 0.1) -> (train: ImageDataset, validation: ImageDataset) {
    let generator = Generator(seed: 2020)
    var chosen = [Bool](repeating: false, count: count)
    let values = labels.array(of: Int.self)
    for label in 0..<classCount {
      let members = values.indices.filter { values[$0] == label }
      guard !members.isEmpty else { continue }
      let order = Tensor.randperm(members.count, generator: generator).array(of: Int.self)
      for position in order.prefix(Int((fraction * Double(members.count)).rounded())) { chosen[members[position]] = true }
    }
    func part(_ wanted: Bool, _ split: String) -> ImageDataset {
      subset(Tensor(chosen.indices.filter { chosen[$0] == wanted }), split: split)
    }
    return (part(false, "train"), part(true, "validation"))
  }
}

extension ImageDataset {
  /// How documents name the images that their numbers are of.
  public struct Summary: Codable, Sendable, Equatable, CustomStringConvertible {
    public var name: String
    public var split: String
    public var samples: Int

    /// Such as "200 test images of digits".
    public var description: String { "\(samples) \(split == "file" ? "" : split + " ")images of \(name)" }
  }

  public var summary: Summary { Summary(name: name, split: split, samples: count) }
}
