import Foundation
import Testing

@testable import SwiftTorch

/// Returns the path of a small file that `Tests/Fixtures/make_fixtures.py` wrote.
func fixture(_ name: String) -> String { Fixtures.path("files/\(name)") }

/// The folder with real data: SAT_TEST_DATA, or `../shared/data` beside the package, or nil if there is none.
let realData: String? = {
  let folder = ProcessInfo.processInfo.environment["SAT_TEST_DATA"] ?? Fixtures.path("../../../shared/data")
  if FileManager.default.fileExists(atPath: folder) { return folder }
  print("Tests with real data are skipped: there is no folder \(folder); set SAT_TEST_DATA to a folder.")
  return nil
}()

extension ZipArchive {
  init(_ bytes: [UInt8]) throws(FormatError) { try self.init(FileSource(bytes)) }
}

extension SafeTensorsHeader {
  static func parse(_ bytes: [UInt8]) throws(FormatError) -> (tensors: NamedStoredTensors, metadata: [String: String]) {
    try parse(FileSource(bytes))
  }
}

extension StoredTensor {
  /// Reads the elements, packed in row-major order.
  func packedBytes() throws -> [UInt8] { try makeTensor().hostBytes() }
}

func little(_ value: some FixedWidthInteger) -> [UInt8] {
  withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

/// Builds a zip archive as simple writers do. Tests can set the fields that hostile archives falsify.
struct ZipBuilder {
  struct Entry {
    var name: String
    var data: [UInt8]
    var method: UInt16 = 0
    var flags: UInt16 = 0
    var size: Int?
    var checksum: UInt32?
    /// The offset of another entry's header, for archives with entries that share bytes.
    var headerOffset: Int?
  }

  var entries: [Entry] = []
  var isZip64 = false

  func bytes() -> [UInt8] {
    var file: [UInt8] = []
    var directory: [UInt8] = []
    for entry in entries {
      let name = Array(entry.name.utf8)
      let size = entry.size ?? entry.data.count
      let common =
        little(entry.flags) + little(entry.method) + little(UInt32(0))
        + little(entry.checksum ?? Inflater.checksum(entry.data[...]))
      let offset = entry.headerOffset ?? file.count
      if entry.headerOffset == nil {
        file += little(UInt32(0x0403_4B50)) + little(UInt16(20)) + common
        file +=
          little(UInt32(entry.data.count)) + little(UInt32(truncatingIfNeeded: size)) + little(UInt16(name.count))
          + little(UInt16(0))
        file += name + entry.data
      }
      let extra =
        isZip64
        ? little(UInt16(1)) + little(UInt16(24)) + little(UInt64(size)) + little(UInt64(entry.data.count)) + little(UInt64(offset))
        : []
      let sizes =
        isZip64
        ? little(UInt32.max) + little(UInt32.max) : little(UInt32(entry.data.count)) + little(UInt32(truncatingIfNeeded: size))
      directory += little(UInt32(0x0201_4B50)) + little(UInt32(20)) + common + sizes
      directory += little(UInt16(name.count)) + little(UInt16(extra.count)) + [UInt8](repeating: 0, count: 10)
      directory += isZip64 ? little(UInt32.max) : little(UInt32(offset))
      directory += name + extra
    }
    let start = file.count
    file += directory
    var end = little(UInt32(0x0605_4B50)) + little(UInt32(0))
    if isZip64 {
      let record = file.count
      file += little(UInt32(0x0606_4B50)) + little(UInt64(44)) + little(UInt32(45)) + little(UInt64(0))
      file +=
        little(UInt64(entries.count)) + little(UInt64(entries.count)) + little(UInt64(directory.count)) + little(UInt64(start))
      file += little(UInt32(0x0706_4B50)) + little(UInt32(0)) + little(UInt64(record)) + little(UInt32(1))
      end += little(UInt16.max) + little(UInt16.max) + little(UInt32.max) + little(UInt32.max)
    } else {
      end += little(UInt16(entries.count)) + little(UInt16(entries.count)) + little(UInt32(directory.count)) + little(UInt32(start))
    }
    return file + end + little(UInt16(0))
  }
}

/// Makes a zip checkpoint from a pickle, in the layout of `torch.save`.
func zipCheckpoint(_ pickle: [UInt8], storages: [String: [UInt8]] = [:], byteorder: String? = "little") -> [UInt8] {
  var builder = ZipBuilder(entries: [.init(name: "archive/data.pkl", data: pickle)])
  if let byteorder { builder.entries.append(.init(name: "archive/byteorder", data: Array(byteorder.utf8))) }
  for (key, data) in storages.sorted(by: { $0.key < $1.key }) {
    builder.entries.append(.init(name: "archive/data/\(key)", data: data))
  }
  return builder.bytes()
}

/// Makes a legacy checkpoint from a pickle without tensors.
func legacyCheckpoint(_ pickle: [UInt8]) -> [UInt8] {
  let magic: [UInt8] = [0x80, 2, 0x8A, 10] + PyTorchCheckpoint.legacyMagic + Array(".".utf8)
  return magic + [0x80, 2] + Array("M".utf8) + little(UInt16(1001)) + Array(".".utf8) + [0x80, 2] + Array("}.".utf8) + pickle + [
    0x80, 2,
  ] + Array("].".utf8)
}
