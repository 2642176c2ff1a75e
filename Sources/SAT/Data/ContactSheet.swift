internal import FileCodecs
public import SwiftTorch

/// One picture with several images side by side.
public struct ContactSheet {
  /// The number of images in a row, and of pixels between images.
  public var columns: Int
  public var gap: Int
  /// The edge in pixels up to which the sheet enlarges small images by a whole factor, so that single pixels are visible.
  public var smallestEdge: Int

  public init(columns: Int = 8, gap: Int = 2, smallestEdge: Int = 96) {
    self.columns = columns
    self.gap = gap
    self.smallestEdge = smallestEdge
  }

  /// Returns the contents of a PNG file with the images [N, 1 or 3, H, W], float32 in [0, 1], or throws if they cannot be encoded.
  public func png(_ images: Tensor) throws(TorchError) -> [UInt8] { try ImageCodec.png(picture(images)) }

  /// Returns the picture, [3, H, W], uint8, with white between the images.
  func picture(_ images: Tensor) -> Tensor {
    withNoGrad {
      let factor = max(1, smallestEdge / max(images.size(2), images.size(3)))
      let (count, height, width) = (images.size(0), images.size(2) * factor, images.size(3) * factor)
      let bytes = (images * 255.0).rounded().clamped(to: 0...255).to(.uint8)
      let tiles = bytes.unsqueezed(dim: 3).unsqueezed(dim: 5).expanded(to: [
        count, 3, images.size(2), factor, images.size(3), factor,
      ]).reshaped(to: count, 3, height, width)
      let across = min(columns, count)
      let rows = (count + across - 1) / across
      let sheet = Tensor.full([3, rows * (height + gap) + gap, across * (width + gap) + gap], 255, dtype: .uint8)
      for i in 0..<count {
        let (top, left) = (gap + i / across * (height + gap), gap + i % across * (width + gap))
        sheet[.all, top..<top + height, left..<left + width] = tiles[i]
      }
      return sheet
    }
  }
}
