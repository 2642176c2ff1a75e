import SwiftTorch
import Testing

@testable import FileCodecs

/// Compares decoded pictures with Pillow's results for the same files.
@Suite struct ImageCodecTests {
  static let lossless = [
    "rgb.png", "grey.png", "alpha.png", "palette.png", "transparent-palette.png", "one-bit.png", "grey-alpha.png",
    "sixteen-bit.png",
  ]
  /// Formats without damage to the pixels that need no library.
  static let simple = [
    "rgb.ppm", "grey.pgm", "plain.ppm", "plain.pbm", "bits.pbm", "deep.ppm", "rgb.bmp", "palette.bmp", "one-bit.bmp", "alpha.bmp",
    "sixteen-bit.bmp", "masks.bmp", "from-top.bmp", "runs.bmp", "runs-of-four.bmp",
  ]
  static let tiff = ["rgb.tif", "deflate.tif", "lzw-palette.tif", "alpha.tif", "grey.tif", "fax.tif", "turned.tif"]
  static let webp = ["lossless.webp", "alpha.webp", "lossy.webp"]
  static let lossy = ["baseline.jpg", "full-chroma.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg"]

  static func bytes(_ name: String) throws -> [UInt8] { try FileBytes.read(Fixtures.path("pictures/\(name)")) }

  static func problem(_ bytes: [UInt8]) -> String { message { try ImageCodec.decode(bytes).shape } }

  @Test(arguments: lossless) func pngIsExact(name: String) throws {
    expectIdentical(try ImageCodec.decode(Self.bytes(name)), try Fixtures.tensors("pictures")[name])
    #expect(try ImageCodec.format(Self.bytes(name)) == .png)
  }

  @Test(arguments: simple) func simpleFormatsAreExact(name: String) throws {
    expectIdentical(try ImageCodec.decode(Self.bytes(name)), try Fixtures.tensors("pictures")[name])
  }

  @Test(.enabled(if: ImageCodec.canRead(.tiff), "libtiff is not installed"), arguments: tiff)
  func tiffIsExact(name: String) throws {
    expectIdentical(try ImageCodec.decode(Self.bytes(name)), try Fixtures.tensors("pictures")[name])
    #expect(try ImageCodec.format(Self.bytes(name)) == .tiff)
  }

  /// Two versions of libwebp may differ by one step of rounding in the lossy format.
  @Test(.enabled(if: ImageCodec.canRead(.webp), "libwebp is not installed"), arguments: webp)
  func webpIsPillows(name: String) throws {
    let (actual, expected) = (try ImageCodec.decode(Self.bytes(name)), try Fixtures.tensors("pictures")[name])
    expectClose(actual.to(.float32), expected.to(.float32), absolute: name == "lossy.webp" ? 1 : 0, relative: 0, name)
    #expect(try ImageCodec.format(Self.bytes(name)) == .webp)
  }

  @Test(arguments: lossless + simple + tiff + webp + lossy) func theHeaderHasTheSize(name: String) throws {
    let bytes = try Self.bytes(name)
    guard let format = ImageCodec.format(bytes), ImageCodec.canRead(format) else { return }
    let (height, width) = try ImageCodec.size(bytes)
    #expect(try Fixtures.tensors("pictures")[name].shape == [3, height, width])
  }

  /// Two versions of libjpeg differ by one step of rounding. The conversion of CMYK adds another step.
  @Test(arguments: lossy) func jpegIsPillows(name: String) throws {
    let (actual, expected) = (try ImageCodec.decode(Self.bytes(name)), try Fixtures.tensors("pictures")[name])
    expectClose(actual.to(.float32), expected.to(.float32), absolute: 2, relative: 0, name)
    #expect(try actual.dtype == .uint8 && ImageCodec.format(Self.bytes(name)) == .jpeg)
    #expect((actual.to(.float32) - expected.to(.float32)).abs().mean().item() < 0.5)
  }

  @Test func resizingIsPillows() throws {
    let picture = try ImageCodec.decode(Self.bytes("rgb.png"))
    for (width, height) in [(17, 13), (40, 30), (50, 10)] {
      let resized = picture.unsqueezed(dim: 0).resizedAntialiased(height: height, width: width)[0]
      expectClose(
        resized.to(.float32), try Fixtures.tensors("pictures")["resized/\(width)x\(height)"].to(.float32), absolute: 1, relative: 0,
        "\(width) x \(height)")
    }
  }

  @Test func whatIsEncodedIsDecoded() throws {
    let picture = Tensor.randint(0..<256, [3, 5, 301], generator: Generator(seed: 0)).to(.uint8)
    let file = try ImageCodec.png(picture)
    expectIdentical(try ImageCodec.decode(file), picture)
    expectIdentical(try ImageCodec.decode(try ImageCodec.png(picture.flipped(dims: [2]))), picture.flipped(dims: [2]))
  }

  /// Every cut is an error, even near the end. The decoder does not fill the missing part with grey.
  @Test(arguments: lossless + lossy) func aFileThatIsCutOffIsRefused(name: String) throws {
    let whole = try Self.bytes(name)
    for length in stride(from: 0, to: whole.count - 4, by: 13) {
      let message = Self.problem(Array(whole[..<length]))
      let words = length < (name.hasSuffix("png") ? 8 : 3) ? "is no picture of a known format" : "is a damaged"
      #expect(message.contains(words), "\(length) of \(whole.count): \(message)")
      #expect(!message.contains("\n"))
    }
  }

  @Test(arguments: simple + tiff + webp) func aSimpleFileThatIsCutOffIsRefused(name: String) throws {
    let whole = try Self.bytes(name)
    guard let format = ImageCodec.format(whole), ImageCodec.canRead(format) else { return }
    // The end of plain.ppm, plain.pbm and the run-length codes holds no pixel. TIFF has its directory at the end, or before it data
    // of other kinds. An alpha channel comes last in WebP.
    let end = format == .tiff || format == .webp ? whole.count / 2 : whole.count - 4
    for length in stride(from: 0, to: end, by: 29) {
      let message = Self.problem(Array(whole[..<length]))
      #expect(message.contains(length < 19 ? "is " : "is a damaged"), "\(length) of \(whole.count): \(message)")
      #expect(!message.contains("\n"))
    }
  }

  @Test func whatIsNoPictureIsSaid() throws {
    #expect(
      Self.problem(Array("hello, world".utf8)).contains(
        "is no picture of a known format; expected JPEG, PNG, PPM or PGM, BMP, TIFF, WebP"))
    #expect(Self.problem([]).contains("no picture"))
    #expect(Self.problem(Array("P6 1 1 70000 x".utf8)).contains("largest value is 70000, not 1 to 65535"))
    #expect(Self.problem(Array("P3 1 1 9 1 2 10".utf8)).contains("a pixel is 10, above its largest value 9"))
    #expect(Self.problem(Array("P5 99999 99999 255 x".utf8)).contains("99999 x 99999 pixels"))
    #expect(Self.problem(Array("P2 1 0 255 1".utf8)).contains("1 x 0 pixels"))
    var animation = Array("RIFF....WEBPVP8X....".utf8) + [2, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    if ImageCodec.canRead(.webp) { #expect(Self.problem(animation).contains("it is an animation")) }
    animation[20] = 0
    if ImageCodec.canRead(.webp) { #expect(Self.problem(animation).contains("damaged WebP picture")) }
    var huge = try Self.bytes("rgb.png")
    huge.replaceSubrange(16..<24, with: [0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF])
    #expect(Self.problem(huge).contains("damaged PNG"))
    var wide = try Self.bytes("baseline.jpg")
    let frame = try #require(wide.indices.dropLast().first { wide[$0] == 0xFF && wide[$0 + 1] == 0xC0 })
    wide.replaceSubrange(frame + 5..<frame + 9, with: [0xFF, 0xDC, 0xFF, 0xDC])
    #expect(Self.problem(wide).contains("65500 x 65500"), "\(Self.problem(wide))")
    var flipped = try Self.bytes("rgb.png")
    flipped[flipped.count / 2] ^= 0x10
    #expect(Self.problem(flipped).contains("damaged PNG"), "its checksum")
  }
}
