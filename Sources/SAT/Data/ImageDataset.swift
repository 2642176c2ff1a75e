public import SwiftTorch

/// Labelled images, in memory or in files; files are decoded on demand.
public struct ImageDataset {
  private enum Storage {
    /// [N, C, H, W]: uint8, or float32 in [0, 1].
    case memory(Tensor)
    case files(PictureFiles)
  }

  /// The name in reports: a data set's name or a file's path.
  public var name: String
  /// "train", "validation" or "test"; "file" for the user's own file.
  public var split: String
  private let storage: Storage
  /// The labels, [N], int64.
  public let labels: Tensor
  /// The names of the classes by label; empty when the data have none.
  public let classNames: [String]
  /// Sentences about changes to the images of the file, for the user.
  public internal(set) var notes: [String] = []

  /// Adds a sentence for the user.
  mutating func note(_ sentence: String) { notes.append(sentence) }

  /// Pixels that leave [0, 1] by no more than this are rounding errors.
  private static let roundingError = 1e-5

  /// Makes a data set from images [N, C, H, W], uint8 or float32 in [0, 1], and int64 labels [N] from 0.
  ///
  /// - Throws: `SATError` when the shapes or dtypes do not fit, a label is out of range, or a pixel lies outside [0, 1] by more
  ///   than 1e-5 or is not finite. Smaller excesses are rounding errors; such pixels become 0 or 1, and a note says so.
  public init(name: String, split: String, images: Tensor, labels: Tensor, classNames: [String] = []) throws(SATError) {
    guard images.ndim == 4, images.dtype == .uint8 || images.dtype == .float32 else {
      throw SATError(
        "\(name): the images have shape \(images.shape) and type \(images.dtype); expected [N, C, H, W] of uint8, or of float32 "
          + "in [0, 1]"
      )
    }
    try Self.check(labels, count: images.size(0), name)
    guard images.count > 0 else { throw SATError("\(name): the images have shape \(images.shape); expected sizes of at least 1") }
    var (images, notes) = (images, [String]())
    if images.dtype == .float32 {
      let (low, high) = (images.min().item(), images.max().item())
      guard low.isFinite, high.isFinite else {
        throw SATError("\(name): some pixels are NaN or infinite; expected numbers in [0, 1]; check the program that made the file")
      }
      guard low >= -Self.roundingError, high <= 1 + Self.roundingError else {
        throw SATError(
          "\(name): the pixels lie between \(low) and \(high); expected [0, 1]; divide by 255 or undo a normalisation first")
      }
      if low < 0 || high > 1 {
        images = images.clamped(to: 0...1)
        notes = ["the pixels lie between \(low) and \(high), so rounding errors outside [0, 1] were clipped"]
      }
    }
    self.init(unchecked: name, split, .memory(images), labels, classNames)
    self.notes = notes
  }

  init(name: String, split: String, files: PictureFiles, labels: Tensor, classNames: [String]) throws(SATError) {
    try Self.check(labels, count: files.paths.count, name)
    self.init(unchecked: name, split, .files(files), labels, classNames)
  }

  private static func check(_ labels: Tensor, count: Int, _ name: String) throws(SATError) {
    guard labels.ndim == 1, labels.dtype == .int64, labels.count == count else {
      throw SATError(
        "\(name): the labels have shape \(labels.shape) and type \(labels.dtype); expected \(count) of int64, one per image")
    }
    guard count > 0 else { throw SATError("\(name) holds no images") }
    guard labels.min().item() >= 0 else {
      throw SATError("\(name): the smallest label is \(Int(labels.min().item())); expected 0 or more")
    }
    // No data set has more classes.
    let most = 1_000_000
    guard labels.max().item() < Double(most) else {
      throw SATError("\(name): the largest label is \(labels.max().item()); expected classes counted from 0, below \(most)")
    }
  }

  private init(unchecked name: String, _ split: String, _ storage: Storage, _ labels: Tensor, _ classNames: [String]) {
    self.name = name
    self.split = split
    self.storage = storage
    self.labels = labels
    self.classNames = classNames
  }

  public var count: Int { labels.count }

  /// The shape of one image, [C, H, W].
  public var imageShape: [Int] {
    switch storage {
    case .memory(let images): Array(images.shape.dropFirst())
    case .files(let files): files.imageShape
    }
  }

  /// One more than the largest label.
  public var classCount: Int { Int(labels.max().item()) + 1 }

  /// A number that tells data sets apart, from images and labels; for picture files, from file names and labels.
  var fingerprint: String {
    let images =
      switch storage {
      case .memory(let images): images.fingerprint
      case .files(let files): Fingerprint.of(files.paths.map(\.description).joined(separator: "\n"))
      }
    return String(images ^ labels.fingerprint, radix: 16)
  }

  // MARK: Images

  /// All images [N, C, H, W] in their stored dtype, uint8 or float32, or the errors of `batch(at:)`.
  ///
  /// For a folder of pictures this decodes every file, so prefer `batch`.
  public var images: Tensor {
    get throws(TorchError) {
      switch storage {
      case .memory(let images): images
      case .files(let files): try files.images(Array(files.paths.indices))
      }
    }
  }

  /// All images in their stored dtype if they are in memory, else nil.
  public var imagesInMemory: Tensor? { if case .memory(let images) = storage { images } else { nil } }

  /// Returns the images at the given int64 positions as float32 in [0, 1], and their labels.
  ///
  /// - Throws: `TorchError` when a picture's file cannot be read.
  public func batch(at positions: Tensor) throws(TorchError) -> (images: Tensor, labels: Tensor) {
    let part = subset(positions)
    return (try part.images.scaledPixels, part.labels)
  }

  /// Returns the images of a range as float32 in [0, 1], and their labels, or throws the errors of `batch(at:)`.
  public func batch(_ range: Range<Int>) throws(TorchError) -> (images: Tensor, labels: Tensor) {
    let part = part(range)
    return (try part.images.scaledPixels, part.labels)
  }

  /// Returns randomly changed images for training, [N, C, H, W], float32 in [0, 1].
  ///
  /// For a picture in a file, the resized crop comes from the whole picture. The errors are those of `batch(at:)`.
  func augmented(at positions: [Int], _ augmentation: Augmentation, generator: Generator) throws(TorchError) -> Tensor {
    switch storage {
    case .memory(let images): return augmentation(images.selecting(Tensor(positions)), generator: generator)
    case .files(let files):
      guard augmentation.resizedCrop > 0 else { return augmentation(try files.images(positions), generator: generator) }
      let pictures = try positions.map { (position) throws(TorchError) in try files.picture(position) }
      let shape = files.imageShape
      return augmentation.resizedCrops(of: pictures, height: shape[1], width: shape[2], generator: generator)
    }
  }

  // MARK: Parts

  /// Returns the samples at the given positions, in that order.
  public func subset(_ positions: Tensor, split: String? = nil) -> ImageDataset {
    part(split ?? self.split, at: positions.array(of: Int.self)) { $0.selecting(positions) }
  }

  /// Returns the samples of a range; throws a `SATError` when it is empty or reaches past the end.
  public func subset(_ range: Range<Int>) throws(SATError) -> ImageDataset {
    guard range.lowerBound >= 0, range.upperBound <= count, !range.isEmpty else {
      throw SATError("\(name) has no samples \(range.lowerBound):\(range.upperBound); expected a range inside 0:\(count)")
    }
    return part(range)
  }

  private func part(_ range: Range<Int>) -> ImageDataset { part(split, at: Array(range)) { $0[range] } }

  private func part(_ split: String, at positions: @autoclosure () -> [Int], of whole: (Tensor) -> Tensor) -> ImageDataset {
    let part: Storage =
      switch storage {
      case .memory(let images): .memory(whole(images))
      case .files(let files): .files(files.selecting(positions()))
      }
    var dataset = ImageDataset(unchecked: name, split, part, whole(labels), classNames)
    dataset.notes = notes
    return dataset
  }

  /// Splits off a random `fraction` of every class for validation, with a fixed seed.
  ///
  /// The paper's code uses scikit-learn's stratified draw, which Swift cannot reproduce, so this rule is our own. One generator
  /// with seed 2020 shuffles the n samples of each class, in the order of the classes. The first round(fraction · n) shuffled
  /// samples go to validation. Both parts keep the order of the data.
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

extension Tensor {
  /// The pixels as numbers in [0, 1]: bytes are divided by 255 in float32, as torchvision's `ToTensor` does.
  var scaledPixels: Tensor { dtype == .uint8 ? to(.float32) / 255.0 : self }
}

extension ImageDataset {
  /// A description of the images that a document's numbers belong to.
  public struct Summary: Codable, Sendable, Equatable, CustomStringConvertible {
    public var name: String
    public var split: String
    public var samples: Int

    /// A phrase such as "200 test images of digits".
    public var description: String { "\(samples) \(split == "file" ? "" : split + " ")images of \(name)" }
  }

  public var summary: Summary { Summary(name: name, split: split, samples: count) }
}
