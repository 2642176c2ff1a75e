internal import CImageCodecs
internal import Glibc
package import SwiftTorch

/// Decodes pictures to bytes of red, green and blue, and encodes PNG files.
package enum ImageCodec {
  package enum Format: String, CaseIterable {
    case jpeg = "JPEG"
    case png = "PNG"
    case netPBM = "PPM or PGM"
    case bmp = "BMP"
    case tiff = "TIFF"
    case webp = "WebP"

    /// True if the bytes begin as a file of this format does.
    fileprivate func begins(_ bytes: [UInt8]) -> Bool {
      switch self {
      case .jpeg: ic_is_jpeg(bytes, bytes.count) != 0
      case .png: ic_is_png(bytes, bytes.count) != 0
      case .netPBM: NetPBM.begins(bytes)
      case .bmp: BMP.begins(bytes)
      case .tiff: ic_is_tiff(bytes, bytes.count) != 0
      case .webp: ic_is_webp(bytes, bytes.count) != 0
      }
    }

    /// The most pixels that one byte of a file can encode. A damaged header that declares more gets no memory.
    ///
    /// A blank PNG or TIFF with one bit per pixel reaches 8 times deflate's best ratio. A blank JPEG reaches 512 pixels per byte,
    /// one bit for each 8 x 8 block; the limit is twice that number. A blank WebP needs no bits for its pixels; a file of 50 bytes
    /// may have 1,280 x 1,280. BMP's run-length codes have two bytes for 255 pixels, and PBM has 8 pixels in a byte.
    fileprivate var mostPixelsPerByte: Int {
      switch self {
      case .png, .tiff: 8 * Inflater.maximumRatio
      case .jpeg: 1024
      case .netPBM: 8
      case .bmp: 128
      case .webp: 1 << 15
      }
    }

    /// The Debian package of the library that reads this format; nil if every build of sat has it.
    fileprivate var package: String? {
      switch self {
      case .tiff: "libtiff6"
      case .webp: "libwebp7"
      default: nil
      }
    }
  }

  /// The endings of picture files in lower case; torchvision's `ImageFolder` has the same list.
  package static let endings: Set<String> = ["jpg", "jpeg", "png", "ppm", "bmp", "pgm", "tif", "tiff", "webp"]

  /// The most pixels of a picture: 12,000 x 8,000. Pictures of cameras and data sets are smaller.
  package static let largestPicture = 96_000_000

  /// Returns the format by the first bytes, or nil for any other file.
  package static func format(_ bytes: [UInt8]) -> Format? { Format.allCases.first { $0.begins(bytes) } }

  /// Decodes a file to red, green and blue: [3, height, width], uint8, channels last in memory as in the file.
  ///
  /// It repeats grey, looks up a palette, drops alpha, rounds deeper values to 8 bits and converts CMYK.
  package static func decode(_ bytes: [UInt8]) throws(FormatError) -> Tensor {
    let picture = try read(bytes, onlySize: false)
    guard let rows = picture.rows else { throw FormatError("has no pixels") }
    var tensor = rows.permuted(2, 0, 1)
    // Turns the picture upright.
    if picture.orientation > 4 { tensor = tensor.transposed(1, 2) }
    if [3, 4, 7, 8].contains(picture.orientation) { tensor = tensor.flipped(dims: [1]) }
    if [2, 3, 6, 7].contains(picture.orientation) { tensor = tensor.flipped(dims: [2]) }
    return tensor
  }

  /// Returns the size of a picture from the header of its file, without its pixels.
  package static func size(_ bytes: [UInt8]) throws(FormatError) -> (height: Int, width: Int) {
    let picture = try read(bytes, onlySize: true)
    return picture.orientation > 4 ? (picture.width, picture.height) : (picture.height, picture.width)
  }

  private struct Picture {
    var height: Int
    var width: Int
    /// The tag of TIFF: 1 for upright, 5 to 8 for rows and columns exchanged.
    var orientation = 1
    /// [height, width, 3], uint8; nil if only the size was read.
    var rows: Tensor?
  }

  private static func read(_ bytes: [UInt8], onlySize: Bool) throws(FormatError) -> Picture {
    guard let format = format(bytes) else {
      let known = Format.allCases.map(\.rawValue).joined(separator: ", ")
      throw FormatError("is no picture of a known format; expected \(known); remove it from the folder or convert it")
    }
    let limit = min(largestPicture, format.mostPixelsPerByte * bytes.count)
    do throws(FormatError) {
      switch format {
      case .netPBM: return picture(try NetPBM.decode(bytes, limit: limit, onlySize: onlySize))
      case .bmp: return picture(try BMP.decode(bytes, limit: limit, onlySize: onlySize))
      case .jpeg, .png, .tiff, .webp:
        if let picture = try library(format, bytes, limit, onlySize) { return picture }
      }
    } catch { throw FormatError("is a damaged \(format.rawValue) picture (\(error.message)); copy or download it again") }
    throw FormatError(
      "is a \(format.rawValue) picture, and this machine has no library to read it; install the Debian package "
        + "\(format.package ?? "of the library"), or convert the picture to PNG")
  }

  private static func picture(_ decoded: RGBPicture) -> Picture {
    let rows =
      decoded.pixels.isEmpty
      ? nil : Tensor(bytes: decoded.pixels[...], shape: [decoded.height, decoded.width, 3], dtype: .uint8)
    return Picture(height: decoded.height, width: decoded.width, rows: rows)
  }

  /// Calls the library of a format; returns nil if the machine lacks it.
  private static func library(
    _ format: Format, _ bytes: [UInt8], _ limit: Int, _ onlySize: Bool
  ) throws(FormatError) -> Picture? {
    var image = ic_image()
    let (count, limit, onlySize) = (bytes.count, Int64(limit), Int32(onlySize ? 1 : 0))
    let status =
      switch format {
      case .jpeg: ic_jpeg_decode(bytes, count, limit, onlySize, &image)
      case .png: ic_png_decode(bytes, count, limit, onlySize, &image)
      case .tiff: ic_tiff_decode(bytes, count, limit, onlySize, &image)
      default: ic_webp_decode(bytes, count, limit, onlySize, &image)
      }
    defer { ic_image_free(&image) }
    if status == Int32(IC_NO_LIBRARY) { return nil }
    guard status == Int32(IC_OK) else { throw FormatError(text(image)) }
    var picture = Picture(height: Int(image.height), width: Int(image.width), orientation: Int(image.orientation))
    if let pixels = image.pixels {
      picture.rows = Tensor(
        copying: UnsafeRawBufferPointer(start: pixels, count: 3 * picture.height * picture.width),
        shape: [picture.height, picture.width, 3], dtype: .uint8)
    }
    return picture
  }

  /// True if this machine can read files of a format; TIFF and WebP need their libraries.
  package static func canRead(_ format: Format) -> Bool {
    let start: [UInt8] =
      switch format {
      case .tiff: Array("II*\0\0\0\0\0".utf8)
      case .webp: Array("RIFF\0\0\0\0WEBPVP8 ".utf8)
      default: []
      }
    // A library that is there refuses this beginning of a file as damaged.
    do { return start.isEmpty ? true : try library(format, start, 1, true) != nil } catch { return true }
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
