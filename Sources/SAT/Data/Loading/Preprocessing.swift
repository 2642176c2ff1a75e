internal import SwiftTorch

/// The way from a picture to an image of the model's size: a resize of the shorter edge, then the middle square.
///
/// Both steps are torchvision's `Resize` and `CenterCrop` on 8-bit pictures; either may be absent.
public struct Preprocessing: Sendable, Equatable, CustomStringConvertible {
  /// The shorter edge after the resize, in pixels; the longer edge keeps the ratio, rounded down.
  public var resize: Int?
  /// The edge of the middle square, in pixels. A smaller picture gets black margins.
  public var crop: Int?
  /// Resizes by Pillow's bicubic filter instead of the bilinear one.
  public var isBicubic: Bool

  public init(resize: Int? = nil, crop: Int? = nil, isBicubic: Bool = false) {
    self.resize = resize
    self.crop = crop
    self.isBicubic = isBicubic
  }

  /// The preprocessings of RobustBench by their names, and "none".
  public static let named: [(name: String, preprocessing: Preprocessing)] = [
    ("Res256Crop224", Preprocessing(resize: 256, crop: 224)),
    ("BicubicRes256Crop224", Preprocessing(resize: 256, crop: 224, isBicubic: true)), ("Res224", Preprocessing(resize: 224)),
    ("Crop288", Preprocessing(crop: 288)), ("none", Preprocessing()),
  ]

  /// Looks up a preprocessing by its name; throws a `SATError` that lists the known names.
  public init(named name: String) throws(SATError) {
    guard let known = Self.named.first(where: { $0.name == name }) else {
      throw SATError("preprocessing '\(name)' is not known; expected one of \(Self.named.map(\.name).joined(separator: ", "))")
    }
    self = known.preprocessing
  }

  /// Resizes the shorter edge to 8/7 of `side` and takes the middle square: 256 for 224, as is usual for ImageNet.
  static func middle(side: Int) -> Preprocessing { Preprocessing(resize: side * 8 / 7, crop: side) }

  /// A phrase for a sentence about pictures: "resized to 256 pixels on the shorter edge and cropped to the middle 224 x 224".
  public var description: String {
    let steps = [
      resize.map { "resized to \($0) pixels on the shorter edge\(isBicubic ? " (bicubic)" : "")" },
      crop.map { "cropped to the middle \($0) x \($0)" },
    ].compactMap(\.self)
    return steps.isEmpty ? "read as they are" : steps.joined(separator: " and ")
  }

  /// Returns the size of an image from the size of its picture.
  func size(height: Int, width: Int) -> (height: Int, width: Int) {
    crop.map { ($0, $0) } ?? resized(height: height, width: width)
  }

  /// torchvision's Resize rounds the longer edge down.
  private func resized(height: Int, width: Int) -> (height: Int, width: Int) {
    guard let resize else { return (height, width) }
    return height <= width ? (resize, max(1, resize * width / height)) : (max(1, resize * height / width), resize)
  }

  /// Returns the image of a picture [C, H, W] or of pictures [N, C, H, W] of one size, uint8 or float32 in [0, 1].
  func callAsFunction(_ picture: Tensor) -> Tensor {
    var picture = picture
    if let resize {
      if let crop, crop <= resize { picture = Self.croppedToAspectLimit(picture) }
      let (height, width) = resized(height: picture.size(-2), width: picture.size(-1))
      picture = picture.resized(height: height, width: width, bicubic: isBicubic)
      // The bicubic filter overshoots at edges; Pillow clips as well.
      if isBicubic, picture.dtype.isFloatingPoint { picture = picture.clamped(to: 0...1) }
    }
    return crop.map { Self.middle(of: picture, side: $0) } ?? picture
  }

  private static func middle(of picture: Tensor, side: Int) -> Tensor {
    // torchvision gives a missing row or column more to the end.
    let (rows, columns) = (max(0, side - picture.size(-2)), max(0, side - picture.size(-1)))
    let picture =
      rows + columns == 0 ? picture : picture.padded([columns / 2, columns - columns / 2, rows / 2, rows - rows / 2])
    // torchvision's CenterCrop rounds half a pixel to even.
    func margin(_ edge: Int) -> Int { Int((Double(edge - side) / 2).rounded(.toNearestOrEven)) }
    let (top, left) = (margin(picture.size(-2)), margin(picture.size(-1)))
    return picture[.ellipsis, top..<top + side, left..<left + side]
  }

  /// Cuts the far ends off a picture that is more than eight times longer than wide; its middle square does not change.
  ///
  /// Without the cut, the resize of a picture with a row of 20,000 pixels takes gigabytes.
  private static func croppedToAspectLimit(_ picture: Tensor) -> Tensor {
    func kept(_ edge: Int, _ other: Int) -> Range<Int> {
      let cut = max(0, edge - 8 * other) / 2
      return cut..<edge - cut
    }
    let (height, width) = (picture.size(-2), picture.size(-1))
    return picture[.ellipsis, kept(height, width), kept(width, height)]
  }
}

extension Tensor {
  /// Returns pictures [C, H, W] or [N, C, H, W] in another size, as Pillow resizes them; uint8 values are rounded.
  func resized(height: Int, width: Int, bicubic: Bool = false) -> Tensor {
    if size(-2) == height && size(-1) == width { return self }
    let batch = ndim == 3 ? unsqueezed(dim: 0) : self
    let resized = batch.resizedAntialiased(height: height, width: width, bicubic: bicubic)
    return ndim == 3 ? resized.squeezed(dim: 0) : resized
  }

  /// Returns pictures [3, H, W], uint8, in one channel, as Pillow's mode L: ITU-R 601-2 in whole numbers.
  var luma: Tensor {
    let weights = Tensor([19595, 38470, 7471]).reshaped(to: 3, 1, 1).to(.int32)
    let sum = (to(.int32) * weights).sum(dim: -3, keepDim: true)
    return (sum + 0x8000).floorDivided(by: 65536).to(.uint8)
  }
}
