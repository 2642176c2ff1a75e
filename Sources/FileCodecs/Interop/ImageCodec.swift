internal import CImageCodecs
internal import Glibc
package import SwiftTorch

/// Decodes JPEG and PNG files to bytes of red, green and blue, and encodes PNG files.
package enum ImageCodec {
  package enum Format: String { case jpeg = "JPEG", png = "PNG" }

  /// The most pixels of a picture: 12,000 x 8,000. Pictures of cameras and data sets are smaller.
  package static let largestPicture = 96_000_000
  /// Returns the most pixels that one byte of a file can encode. A damaged header that declares more gets no memory.
  ///
  /// A blank PNG with one bit per pixel reaches 8 times deflate's best ratio. A blank JPEG reaches 512 pixels per byte, one bit for
  /// each 8 x 8 block. The limit is twice that number.
  private static func mostPixelsPerByte(_ format: Format) -> Int { format == .png ? 8 * Inflater.maximumRatio : 1024 }

  /// Returns the format by the first bytes, or nil for any other file.
  package static func format(_ bytes: [UInt8]) -> Format? {
    if ic_is_jpeg(bytes, bytes.count) != 0 { return .jpeg }
    return ic_is_png(bytes, bytes.count) != 0 ? .png : nil
  }

  /// Decodes a file to red, green and blue: [3, height, width], uint8, channels last in memory as in the file.
  ///
  /// It repeats grey, looks up a palette, drops alpha, rounds 16 bits to 8 and converts CMYK.
  package static func decode(_ bytes: [UInt8]) throws(FormatError) -> Tensor {
    guard let format = format(bytes) else {
      throw FormatError("is neither a JPEG nor a PNG picture; expected one of them; remove it from the folder or convert it")
    }
    var image = ic_image()
    let limit = Int64(min(largestPicture, mostPixelsPerByte(format) * bytes.count))
    let status =
      switch format {
      case .jpeg: ic_jpeg_decode(bytes, bytes.count, limit, &image)
      case .png: ic_png_decode(bytes, bytes.count, limit, &image)
      }
    defer { ic_image_free(&image) }
    guard status == 0, let pixels = image.pixels else {
      throw FormatError("is a damaged \(format.rawValue) picture (\(text(image))); copy or download it again")
    }
    let (height, width) = (Int(image.height), Int(image.width))
    return Tensor(
      copying: UnsafeRawBufferPointer(start: pixels, count: 3 * height * width), shape: [height, width, 3], dtype: .uint8
    ).permuted(2, 0, 1)
  }

  /// Encodes a picture [3, H, W], uint8, on the CPU, as a PNG file.
  package static func png(_ picture: Tensor) throws(TorchError) -> [UInt8] {
    require(
      picture.ndim == 3 && picture.size(0) == 3 && picture.dtype == .uint8,
      "png: the picture is \(picture.dtype) \(picture.shape); expected uint8 [3, H, W]")
    let rows = picture.permuted(1, 2, 0).hostBytes()
    var out: UnsafeMutablePointer<UInt8>?
    var count = 0
    var message = [CChar](repeating: 0, count: Int(IC_MESSAGE_SIZE))
    guard ic_png_encode(rows, Int32(picture.size(2)), Int32(picture.size(1)), &out, &count, &message) == 0, let out else {
      throw TorchError(.runtime, "the encoder failed on a picture of \(picture.size(2)) x \(picture.size(1)): \(text(message))")
    }
    defer { free(out) }
    return Array(UnsafeBufferPointer(start: out, count: count))
  }

  private static func text(_ image: ic_image) -> String {
    withUnsafeBytes(of: image.message) { text($0.map { CChar(bitPattern: $0) }) }
  }

  /// Returns the library's message in a form that fits into a sentence.
  private static func text(_ characters: [CChar]) -> String {
    let whole = String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return String(quoted(whole).dropFirst().dropLast())
  }
}
