import Glibc

@testable import FileCodecs
@testable import SwiftTorch

/// The entry point of libFuzzer, which `scripts/fuzz` links. The environment variable SAT_FUZZ names the reader.
///
/// A reader may refuse a file. It must not crash, hang, or use much memory.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  reader([UInt8](UnsafeBufferPointer(start: start, count: count)))
  return 0
}

nonisolated(unsafe) private let reader: ([UInt8]) -> Void = {
  let name = getenv("SAT_FUZZ").map { String(cString: $0) } ?? ""
  guard let reader = readers[name] else { fatalError("SAT_FUZZ=\(name); expected one of \(readers.keys.sorted())") }
  return reader
}()

nonisolated(unsafe) private let readers: [String: ([UInt8]) -> Void] = [
  "checkpoint": { readCheckpoint($0) },
  // A sound archive around the pickle. Otherwise the checksum keeps almost every change from the unpickler.
  "pickle": { readCheckpoint(archive(pickle: $0)) },
  "safetensors": { bytes in
    if let (tensors, _) = try? SafeTensorsHeader.parse(FileSource(bytes)) { touch(tensors) }
  },
  "numpy": { bytes in
    if let array = try? NumPyFile.decodeArray(bytes) { touch([("", array)]) }
  },
  "gzip": { bytes in
    guard let stream = try? GzipStream(bytes) else { return }
    var total = 0
    while total < 1 << 20, let piece = try? stream.read(4096), !piece.isEmpty { total += piece.count }
  },
  "picture": { bytes in _ = try? ImageCodec.decode(bytes) },
]

private func readCheckpoint(_ bytes: [UInt8]) {
  guard let checkpoint = try? PyTorchCheckpoint.decode(FileContents(bytes, name: "f")) else { return }
  for set in checkpoint.stateDicts() { touch(set.entries) }
}

/// Reads every element of small tensors, so that a wrong bound shows.
private func touch(_ tensors: NamedStoredTensors) {
  for (_, tensor) in tensors where tensor.count <= 1 << 12 { _ = try? tensor.makeTensor().hostBytes() }
}

/// Returns a PyTorch archive with the pickle and one storage of 16 bytes. Its entries carry no checksum, as many of PyTorch's.
private func archive(pickle: [UInt8]) -> [UInt8] {
  func little(_ value: Int, _ width: Int) -> [UInt8] { (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
  var (file, directory): ([UInt8], [UInt8]) = ([], [])
  let entries: [(String, [UInt8])] = [("archive/data.pkl", pickle), ("archive/data/0", [UInt8](repeating: 0, count: 16))]
  for (name, bytes) in entries {
    // Version, flags, method, time, date, checksum, both sizes, and the lengths of the name and the extra field.
    let header = little(20, 2) + little(0, 12) + little(bytes.count, 4) + little(bytes.count, 4) + little(name.utf8.count, 2)
    directory += [0x50, 0x4B, 1, 2] + little(20, 2) + header + little(0, 12) + little(file.count, 4) + Array(name.utf8)
    file += [0x50, 0x4B, 3, 4] + header + little(0, 2) + Array(name.utf8) + bytes
  }
  let end: [UInt8] = [0x50, 0x4B, 5, 6] + little(0, 4) + little(entries.count, 2) + little(entries.count, 2)
  return file + directory + end + little(directory.count, 4) + little(file.count, 4) + little(0, 2)
}
