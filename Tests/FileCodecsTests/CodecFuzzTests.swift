import SwiftTorch
import Testing

@testable import FileCodecs

/// Gives the readers damaged pictures and gzip files in a separate process. No reader may crash or use much memory.
@Suite(.serialized) struct CodecFuzzTests {
  @Test func pictures() async {
    let run = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      let names = [
        "baseline.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg", "rgb.png", "palette.png", "sixteen-bit.png", "grey-alpha.png",
        "one-bit.png",
      ]
      let seeds = names.map { try! FileBytes.read(Fixtures.path("pictures/\($0)")) }
      fuzz("pictures", seeds: seeds, iterations: 20_000) { bytes, _ in
        guard let picture = try? ImageCodec.decode(bytes) else { return false }
        return picture.ndim == 3 && picture.size(0) == 3 && picture.sum().item() >= 0
      }
    }
    report(run)
  }

  /// TIFF and WebP are tested where their libraries are installed.
  @Test(arguments: ["ppm", "bmp", "tif", "webp"]) func otherPictures(ending: String) async {
    let run = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) { [ending] in
      let names = (ImageCodecTests.simple + ImageCodecTests.tiff + ImageCodecTests.webp).filter {
        ending == "ppm" ? $0.hasSuffix("ppm") || $0.hasSuffix("pgm") || $0.hasSuffix("pbm") : $0.hasSuffix(ending)
      }
      let seeds = names.map { try! FileBytes.read(Fixtures.path("pictures/\($0)")) }
      guard let format = ImageCodec.format(seeds[0]), ImageCodec.canRead(format) else { return }
      fuzz("\(ending) pictures", seeds: seeds, iterations: 20_000) { bytes, _ in
        _ = try? ImageCodec.size(bytes)
        guard let picture = try? ImageCodec.decode(bytes) else { return false }
        return picture.ndim == 3 && picture.size(0) == 3 && picture.sum().item() >= 0
      }
    }
    report(run)
  }

  @Test func gzipStreams() async {
    let run = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      let compressed = try! FileBytes.read(Fixtures.path("pictures/palette.png"))
      // The member stores its data, so the damage hits the parts that zlib parses and not only the checksum.
      let member = TarFile.gzip(compressed)
      fuzz("gzip stream", seeds: [member, member + member, member + [0, 0, 0]], iterations: 20_000) { bytes, generator in
        guard let stream = try? GzipStream(bytes) else { return false }
        var total = 0
        while let piece = try? stream.read(1 + generator.below(3000)) {
          if piece.isEmpty { return total > 0 && total % compressed.count == 0 }
          total += piece.count
        }
        return false
      }
    }
    report(run)
  }
}
