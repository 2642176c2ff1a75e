public import SwiftTorch

/// Labelled images in memory.
public struct ImageDataset {
  /// What it is called in reports: a data set's name or a file's path.
  public var name: String
  /// "train", "validation" or "test"; what the file is, for a file of one's own.
  public var split: String
  /// [N, C, H, W]: uint8, or float32 in [0, 1].
  public let images: Tensor
  /// [N], int64.
  public let labels: Tensor

  /// - Throws: `SATError` when the two do not fit together, a label is negative, or a value lies outside [0, 1] or is not finite.
  public init(name: String, split: String, images: Tensor, labels: Tensor) throws(SATError) {
    guard images.ndim == 4, images.dtype == .uint8 || images.dtype == .float32 else {
      throw SATError(
        "\(name): the images have shape \(images.shape) and type \(images.dtype); expected [N, C, H, W] of uint8, or of float32 in [0, 1]")
    }
    guard labels.ndim == 1, labels.dtype == .int64, labels.count == images.size(0) else {
      throw SATError(
        "\(name): the labels have shape \(labels.shape) and type \(labels.dtype); expected \(images.size(0)) of int64, one per image")
    }
    guard images.size(0) > 0 else { throw SATError("\(name) holds no images") }
    if images.dtype == .float32 {
      let (low, high) = (images.min().item(), images.max().item())
      guard low >= 0, high <= 1 else {
        throw SATError(
          "\(name): the images lie between \(low) and \(high); expected [0, 1], so divide by 255 or undo a normalisation first")
      }
    }
    guard labels.min().item() >= 0 else { throw SATError("\(name): the smallest label is \(Int(labels.min().item())); expected 0 or more") }
    (self.name, self.split, self.images, self.labels) = (name, split, images, labels)
  }

  public var count: Int { images.size(0) }
  /// [C, H, W].
  public var imageShape: [Int] { Array(images.shape.dropFirst()) }
  /// One more than the largest label.
  public var classCount: Int { Int(labels.max().item()) + 1 }

  /// The images at the given int64 positions as float32 in [0, 1], and their labels.
  public func batch(at positions: Tensor) -> (images: Tensor, labels: Tensor) {
    (Self.scaled(images.selecting(positions)), labels.selecting(positions))
  }

  /// The images of a stretch as float32 in [0, 1], and their labels.
  public func batch(_ range: Range<Int>) -> (images: Tensor, labels: Tensor) {
    (Self.scaled(images[range]), labels[range])
  }

  // Bytes are divided by 255 in float32, as torchvision's ToTensor does.
  private static func scaled(_ images: Tensor) -> Tensor { images.dtype == .uint8 ? images.to(.float32) / 255.0 : images }

  /// The part at the given positions, in their order.
  public func subset(_ positions: Tensor, split: String? = nil) -> ImageDataset {
    ImageDataset(unchecked: name, split ?? self.split, images.selecting(positions), labels.selecting(positions))
  }

  /// - Throws: `SATError` when the stretch reaches past the end.
  public func subset(_ range: Range<Int>) throws(SATError) -> ImageDataset {
    guard range.lowerBound >= 0, range.upperBound <= count, !range.isEmpty else {
      throw SATError("samples \(range.lowerBound):\(range.upperBound) of \(name) were asked for; expected a stretch of 0:\(count)")
    }
    return ImageDataset(unchecked: name, split, images[range], labels[range])
  }

  private init(unchecked name: String, _ split: String, _ images: Tensor, _ labels: Tensor) {
    (self.name, self.split, self.images, self.labels) = (name, split, images, labels)
  }

  /// Splits off `fraction` of every class, drawn with a fixed seed, for validation.
  ///
  /// Our own rule, since scikit-learn's stratified draw, which the paper's code uses, cannot be reproduced here: per class, in
  /// order of the classes, a random order of its samples from one generator of seed 2020, of which the first
  /// round(fraction · n) are for validation. Both parts keep the order of the data.
  public func splittingOffValidation(_ fraction: Double) -> (train: ImageDataset, validation: ImageDataset) {
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
