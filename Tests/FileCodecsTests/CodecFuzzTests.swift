import SwiftTorch
import Testing

@testable import FileCodecs

/// Pictures and gzip files, damaged, in a process of their own: no crash, no growth of memory.
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

  @Test func gzipStreams() async {
    let run = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      let compressed = try! FileBytes.read(Fixtures.path("pictures/palette.png"))
      // Stored, so that the damage is in what zlib parses and not only in what it checks.
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

/// Shows what the other process measured.
private func report(_ run: ExitTest.Result?) {
  print(String(decoding: run?.standardOutputContent ?? [], as: UTF8.self), terminator: "")
}
