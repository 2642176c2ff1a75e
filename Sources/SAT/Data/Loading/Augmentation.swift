internal import Foundation
public import SwiftTorch

/// Random changes of training images that keep their labels.
///
/// The order is crop (or resized crop), flip, affine map, brightness. Each field has the meaning of torchvision's transform; zero
/// turns it off. Crop, flip and affine map only move pixels, so one look-up does all three.
public struct Augmentation: Codable, Sendable, Equatable {
  /// `RandomCrop(H, padding)`: shifts the image by up to this many pixels in each direction and fills with zeros.
  public var padding = 0
  /// `RandomResizedCrop(scale: (this, 1), ratio: (3/4, 4/3))`: cuts a window of at least this fraction of the area and resizes it
  /// to the images' size with antialiasing.
  public var resizedCrop = 0.0
  /// `RandomHorizontalFlip(0.5)`.
  public var flip = false
  /// `RandomAffine(degrees)`, nearest pixel, zero outside: rotates by up to this many degrees in either direction.
  public var rotation = 0.0
  /// `RandomAffine(translate)`: shifts by up to this fraction of the width and of the height, in whole pixels.
  public var translation = 0.0
  /// `RandomAffine(scale)`: enlarges by a factor of 1 ± this.
  public var scaling = 0.0
  /// `RandomAffine(shear)`: shears along the rows by up to this many degrees.
  public var shear = 0.0
  /// `ColorJitter(brightness)`: multiplies all channels by a factor of 1 ± this and clamps to [0, 1].
  public var brightness = 0.0

  public init(
    padding: Int = 0, resizedCrop: Double = 0, flip: Bool = false, rotation: Double = 0, translation: Double = 0,
    scaling: Double = 0, shear: Double = 0, brightness: Double = 0
  ) {
    self.padding = padding
    self.resizedCrop = resizedCrop
    self.flip = flip
    self.brightness = brightness
    self.rotation = rotation
    self.translation = translation
    self.scaling = scaling
    self.shear = shear
  }

  public static let none = Augmentation()
  /// Crop with a padding of 4 and flip: the choice of TRADES, MART, FAT and Rice et al. for CIFAR.
  public static let crop = Augmentation(padding: 4, flip: true)
  /// The choice of the SAT paper's code for CIFAR.
  public static let paper = Augmentation(
    padding: 4, flip: true, rotation: 5, translation: 0.1, scaling: 0.1, shear: 5, brightness: 0.1)
  /// ImageNet's usual choice. The paper gives none for Imagenette, so this one is ours.
  public static let imagenette = Augmentation(resizedCrop: 0.08, flip: true)

  /// All augmentations with their names.
  public static let named: [(name: String, augmentation: Augmentation)] = [
    ("none", none), ("crop", crop), ("paper", paper), ("imagenette", imagenette),
  ]

  /// Looks up an augmentation by its name; throws a `SATError` that lists the known names.
  public init(named name: String) throws(SATError) {
    guard let known = Self.named.first(where: { $0.name == name }) else {
      throw SATError("augmentation '\(name)' is not known; expected one of \(Self.named.map(\.name).joined(separator: ", "))")
    }
    self = known.augmentation
  }

  /// Returns the augmentation if its values are right; throws a `SATError` that names the first value outside its range.
  public func validated() throws(SATError) -> Augmentation {
    func require(_ holds: Bool, _ key: String, _ value: Any, _ expected: String) throws(SATError) {
      if !holds { throw SATError("augmentation.\(key) is \(value); expected \(expected)") }
    }
    try require((0...64).contains(padding), "padding", padding, "0 to 64 pixels")
    try require((0...1).contains(resizedCrop), "resizedCrop", resizedCrop, "a fraction of the area, 0 to 1")
    try require((0...180).contains(rotation), "rotation", rotation, "0 to 180 degrees")
    try require((0...1).contains(translation), "translation", translation, "a fraction of the size, 0 to 1")
    try require((0..<1).contains(scaling), "scaling", scaling, "0 <= scaling < 1")
    try require((0..<90).contains(shear), "shear", shear, "0 <= shear < 90 degrees")
    try require((0...1).contains(brightness), "brightness", brightness, "0 to 1")
    return self
  }

  private var movesPixels: Bool { padding > 0 || flip || isAffine }
  private var isAffine: Bool { rotation > 0 || translation > 0 || scaling > 0 || shear > 0 }

  /// Returns randomly changed images, [N, C, H, W], float32 in [0, 1], from uint8 or float32 images of this shape.
  ///
  /// Every image gets its own draws from the generator, which must be on the CPU.
  public func callAsFunction(_ images: Tensor, generator: Generator) -> Tensor {
    withNoGrad {
      guard resizedCrop > 0 else { return finished(images, generator: generator) }
      let pictures = (0..<images.size(0)).map { images[$0] }
      return resizedCrops(of: pictures, height: images.size(2), width: images.size(3), generator: generator)
    }
  }

  /// Applies all changes to pictures [C, H, W] of any sizes; the result is [N, C, height, width].
  func resizedCrops(of pictures: [Tensor], height: Int, width: Int, generator: Generator) -> Tensor {
    let windows = windows(sizes: pictures.map { ($0.size(1), $0.size(2)) }, generator: generator)
    let crops = zip(pictures, windows).map { $0[.all, $1.rows, $1.columns].resized(height: height, width: width) }
    return finished(.stacked(crops), generator: generator)
  }

  /// Applies all changes except the resized crop.
  private func finished(_ images: Tensor, generator: Generator) -> Tensor {
    withNoGrad {
      var x = images
      if movesPixels { x = moved(x, generator: generator) }
      x = x.scaledPixels
      guard brightness > 0 else { return x }
      let factors = Self.uniform(x.size(0), in: 1 - brightness...1 + brightness, generator)
      return (x * factors.reshaped(to: -1, 1, 1, 1)).clamped(to: 0...1)
    }
  }

  private static func uniform(_ count: Int, in range: ClosedRange<Double>, _ generator: Generator) -> Tensor {
    Tensor.empty([count]).uniformInPlace(in: range, generator: generator)
  }

  // MARK: Moving pixels

  /// Applies crop, flip and affine map with one look-up of whole pixels.
  private func moved(_ images: Tensor, generator: Generator) -> Tensor {
    let (n, channels, height, width) = (images.size(0), images.size(1), images.size(2), images.size(3))
    var x = Tensor.arange(0..<width).reshaped(to: 1, 1, width).expanded(to: [n, height, width])
    var y = Tensor.arange(0..<height).reshaped(to: 1, height, 1).expanded(to: [n, height, width])
    var isInside: Tensor?
    // This goes from the output back to the image. First find the source of each output pixel in the flipped crop.
    if isAffine {
      (x, y) = affineSources(x.to(.float32), y.to(.float32), generator)
      isInside = Self.inside(x, width) && Self.inside(y, height)
    }
    // Undo the flip.
    if flip {
      let flipped = Tensor.empty([n, 1, 1]).bernoulliInPlace(0.5, generator: generator).to(.bool)
      x = x.replacing(with: Double(width - 1) - x, where: flipped)
    }
    // Undo the crop.
    if padding > 0 {
      let shifts = Tensor.randint(-padding..<padding + 1, [2, n, 1, 1], generator: generator)
      x += shifts[0].to(x.dtype)
      y += shifts[1].to(y.dtype)
      let within = Self.inside(x, width) && Self.inside(y, height)
      isInside = isInside.map { $0 && within } ?? within
    }
    // Sources outside the image read one extra pixel, which is zero.
    var sources = (y * width + x).to(.int64).flattened(from: 1)
    if let isInside { sources = sources.replacing(with: Tensor(height * width), where: !isInside.flattened(from: 1)) }
    return images.reshaped(to: n, channels, height * width).padded([0, 1])
      .gathered(dim: 2, at: sources.unsqueezed(dim: 1).expanded(to: [n, channels, height * width]))
      .reshaped(to: n, channels, height, width)
  }

  private static func inside(_ coordinate: Tensor, _ size: Int) -> Tensor {
    coordinate.greaterOrEqual(to: 0) && coordinate.less(than: size)
  }

  /// Returns the source of each output pixel p under the affine map, rounded to whole pixels: c + A⁻¹ (p - c - t).
  ///
  /// Here c is the middle, t the shift and A = s · rotation · shear, with the scale s.
  private func affineSources(_ x: Tensor, _ y: Tensor, _ generator: Generator) -> (x: Tensor, y: Tensor) {
    let (n, height, width) = (x.size(0), x.size(1), x.size(2))
    func drawn(_ range: ClosedRange<Double>) -> Tensor { Self.uniform(n, in: range, generator).reshaped(to: n, 1, 1) }
    let angle = drawn(-rotation...rotation) * (Double.pi / 180)
    let shiftX = drawn(-translation * Double(width)...translation * Double(width)).rounded()
    let shiftY = drawn(-translation * Double(height)...translation * Double(height)).rounded()
    let scale = drawn(1 - scaling...1 + scaling)
    let skew = drawn(-shear...shear) * (Double.pi / 180)
    let (cos, sin) = (angle.cos(), angle.sin())
    let tan = skew.sin() / skew.cos()
    let (middleX, middleY) = (Double(width - 1) / 2, Double(height - 1) / 2)
    let (dx, dy) = (x - middleX - shiftX, y - middleY - shiftY)
    // Undo the rotation and the scale, then apply the inverse of the shear [[1, -tan], [0, 1]].
    let (turnedX, turnedY) = ((cos * dx + sin * dy) / scale, (cos * dy - sin * dx) / scale)
    return ((turnedX + tan * turnedY + middleX).rounded(), (turnedY + middleY).rounded())
  }

  // MARK: Windows

  /// A rectangle of an image.
  struct Window: Equatable {
    var rows: Range<Int>
    var columns: Range<Int>
  }

  /// Draws one window for each picture, as torchvision's `RandomResizedCrop.get_params` does.
  ///
  /// It tries ten times to draw an area and a ratio. Then it takes the largest window in the middle with an allowed ratio.
  func windows(sizes: [(height: Int, width: Int)], generator: Generator) -> [Window] {
    let attempts = 10
    let draws = Tensor.rand([sizes.count, attempts, 4], generator: generator).array(of: Float.self).map(Double.init)
    let ratios = (low: 3.0 / 4, high: 4.0 / 3)
    return sizes.enumerated().map { i, size in
      let (height, width) = (Double(size.height), Double(size.width))
      for attempt in 0..<attempts {
        let u = draws[(i * attempts + attempt) * 4..<(i * attempts + attempt + 1) * 4]
        let start = u.startIndex
        let area = height * width * (resizedCrop + (1 - resizedCrop) * u[start])
        let ratio = exp(log(ratios.low) + (log(ratios.high) - log(ratios.low)) * u[start + 1])
        let (w, h) = (Int((area * ratio).squareRoot().rounded()), Int((area / ratio).squareRoot().rounded()))
        guard 0 < w, w <= size.width, 0 < h, h <= size.height else { continue }
        let top = min(Int(u[start + 2] * Double(size.height - h + 1)), size.height - h)
        let left = min(Int(u[start + 3] * Double(size.width - w + 1)), size.width - w)
        return Window(rows: top..<top + h, columns: left..<left + w)
      }
      let w = min(size.width, Int((height * ratios.high).rounded()))
      let h = min(size.height, Int((width / ratios.low).rounded()))
      return Window(
        rows: (size.height - h) / 2..<(size.height - h) / 2 + h, columns: (size.width - w) / 2..<(size.width - w) / 2 + w)
    }
  }
}
