import Testing

@testable import SwiftTorch

/// Gives every reader `fuzzIterations` damaged files in a separate process. No reader may crash or use much memory.
@Suite(.serialized) struct ReaderFuzzTests {
  @Test func pickles() async {
    let run = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      let names = ["views", "odd-shapes", "parameters", "not-a-dict", "unknown-class", "bad-offset", "nested-model"]
      let seeds = names.map { try! FileBytes.read(fixture("\($0).legacy.pt")) }
      fuzz("pickle", seeds: seeds) { bytes, _ in readsCheckpoint(bytes) }
    }
    report(run)
  }

  @Test func zipArchives() async {
    let run = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      let pickle = try! FileBytes.read(fixture("bad-offset.zip.pt"))
      let archive = try! ZipArchive(pickle)
      let data = Array(try! archive.contents(of: archive.entry("archive/data.pkl")!))
      var large = ZipBuilder(entries: [
        .init(name: "a", data: [1, 2, 3]),
        .init(
          name: "b", data: [0x4B, 0x4C, 0x24, 0x0E, 0, 0], method: 8, size: 40,
          checksum: Inflater.checksum([UInt8](repeating: 0x61, count: 40)[...])),
      ])
      let small = large.bytes()
      large.isZip64 = true
      let seeds = [pickle, small, large.bytes(), zipCheckpoint([0x80, 2, 0x7D, 0x2E])]
      fuzz("zip", seeds: seeds) { bytes, generator in
        if generator.below(4) == 0 {
          // The archive around the damaged pickle is sound. Otherwise its checksum would keep the pickle from the reader.
          var mutator = Mutator(seed: generator.next(), seeds: [data])
          return readsCheckpoint(zipCheckpoint(mutator.next(), storages: ["0": [UInt8](repeating: 0, count: 16)]))
        }
        guard let archive = try? ZipArchive(bytes) else { return false }
        var isSound = true
        for entry in archive.entries where (try? archive.contents(of: entry)) == nil { isSound = false }
        return isSound && FileContents(bytes, name: "f").kind != .unknown
      }
    }
    report(run)
  }

  @Test func safetensors() async {
    let run = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      let floats = [UInt8](repeating: 1, count: 24)
      let names: [(String, DType, [Int])] = [
        ("a", .float32, [2, 3]), ("b.weight", .bool, [2]), ("é", .int64, [0, 4]), ("s", .float64, []),
      ]
      let seeds = [names, Array(names.prefix(1))].map { tensors in
        let size = tensors.reduce(0) { $0 + $1.2.reduce($1.1.size, *) }
        return SafeTensorsHeader.encode(tensors, metadata: ["k": "v\n"]).bytes + (floats + floats).prefix(size)
      }
      fuzz("safetensors", seeds: seeds) { bytes, _ in
        guard let (tensors, _) = try? SafeTensorsHeader.parse(bytes) else { return false }
        return touches(tensors)
      }
    }
    report(run)
  }

  @Test func numPyArchives() async {
    let run = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      let arrays = [
        CheckpointNumPyTests.array("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", [UInt8](repeating: 1, count: 24)),
        CheckpointNumPyTests.array("{'descr': '|u1', 'fortran_order': True, 'shape': (4,), }", [1, 2, 3, 4]),
      ]
      let archive = ZipBuilder(entries: [.init(name: "images.npy", data: arrays[0]), .init(name: "labels.npy", data: arrays[1])])
        .bytes()
      let compressed = try! FileBytes.read(fixture("bytes-compressed.npz"))
      fuzz("npz", seeds: arrays + [archive, compressed]) { bytes, generator in
        if bytes.first == 0x93, generator.below(2) == 0 {
          return (try? NumPyFile.decodeArray(bytes)).map { touches([("", $0)]) } ?? false
        }
        // The archive around the damaged array is sound, so its checksum lets the array through to the reader.
        let file = bytes.first == 0x93 ? ZipBuilder(entries: [.init(name: "x.npy", data: bytes)]).bytes() : bytes
        guard let tensors = try? NumPyFile.decodeArchive(FileContents(file, name: "f")) else { return false }
        return touches(tensors)
      }
    }
    report(run)
  }
}

/// Reads a checkpoint and all its tensors, as a caller would.
private func readsCheckpoint(_ bytes: [UInt8]) -> Bool {
  guard let checkpoint = try? PyTorchCheckpoint.decode(FileContents(bytes, name: "f")) else { return false }
  return checkpoint.stateDicts().allSatisfy { touches($0.entries) }
}

/// Reads every element of the tensors of an accepted file. Their bounds must hold.
private func touches(_ tensors: NamedStoredTensors) -> Bool {
  tensors.allSatisfy { _, tensor in
    // A broadcast tensor may repeat a few bytes millions of times. This is allowed, so the test skips large tensors.
    tensor.count > 1 << 12 || (try? tensor.makeTensor()).map { $0.hostBytes().count == tensor.count * tensor.dtype.size } ?? true
  }
}
