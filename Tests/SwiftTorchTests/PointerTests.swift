import Foundation
import Testing

/// The rule of CONTRIBUTING: only the `Interop` folders import C modules or handle pointers.
@Suite struct PointerTests {
  @Test func pointersStayInInterop() throws {
    let package = Fixtures.folder.deletingLastPathComponent().deletingLastPathComponent()
    let sources = package.appending(path: "Sources").path(percentEncoded: false)
    let words = [
      "import CTorchShim", "import CZlib", "import CImageCodecs", "Unsafe", "OpaquePointer", "withContiguousStorage", "cString",
      "strerror",
    ]
    var count = 0
    for file in try FileManager.default.subpathsOfDirectory(atPath: sources) where file.hasSuffix(".swift") {
      if file.contains("/Interop/") { continue }
      count += 1
      let text = try String(contentsOfFile: "\(sources)/\(file)", encoding: .utf8)
      for word in words { #expect(!text.contains(word), "\(file) contains '\(word)'; move that part to an Interop folder") }
    }
    #expect(count > 100, "\(sources) holds the sources")
  }
}
