import Foundation
import SwiftTorch
import Testing

@testable import FileCodecs

/// Reads archives of the system's tar, and damaged archives.
@Suite struct TarReaderTests {
  static func entries(_ archive: GzipStream) throws -> [(entry: TarReader.Entry, contents: [UInt8])] {
    var reader = TarReader(archive)
    var found: [(TarReader.Entry, [UInt8])] = []
    while let entry = try reader.next() { found.append((entry, try reader.read(entry.size))) }
    return found
  }

  @Test(arguments: ["ustar", "gnu", "pax"]) func systemArchivesAreRead(format: String) throws {
    try withTemporaryFolder { folder in
      let files = try TarFile.archive(format: format, in: folder)
      let found = try Self.entries(GzipStream.open("\(folder)/x.tgz")).filter { $0.entry.kind == .file }
      #expect(Dictionary(uniqueKeysWithValues: found.map { ($0.entry.name, $0.contents.count) }) == files)
      for (entry, contents) in found {
        #expect(contents == (try? [UInt8](Data(contentsOf: URL(filePath: "\(folder)/\(entry.name)")))), "\(entry.name)")
      }
    }
  }

  @Test func damagedArchivesAreSurvived() async {
    let run = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      fuzz("tar", seeds: TarFile.seeds, iterations: 5000) { bytes, generator in
        let damaged = generator.below(2) == 0 ? TarFile.repairingChecksums(bytes) : bytes
        guard let found = try? TarReaderTests.entries(GzipStream(TarFile.gzip(damaged))) else { return false }
        return !found.isEmpty
      }
    }
    report(run)
  }
}
