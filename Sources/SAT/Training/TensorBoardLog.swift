internal import Foundation
internal import SwiftProtobuf

/// The event file from which TensorBoard draws a run's curves: one scalar per tag and epoch.
///
/// A file is a sequence of records. A record is an `Event` in protocol-buffer encoding, with its length and two checksums. A
/// resumed run starts a new file with its whole history and tells TensorBoard to forget the earlier ones: each epoch appears once.
final class TensorBoardLog {
  private let file: GrowingFile

  /// Starts a new file in a run's folder and removes the old ones; throws `SATError` when the file cannot be written.
  init(folder: String, history: [EpochMetrics]) throws {
    FileManager.default.removeContents(of: folder) { $0.hasPrefix(Self.prefix) }
    let now = Date().timeIntervalSince1970
    // TensorBoard reads a folder's files in the order of their names, so each name begins with the time.
    let name = "\(Self.prefix)\(Int(now)).sat.\(ProcessInfo.processInfo.processIdentifier)"
    var version = TensorBoardEvent()
    version.wallTime = now
    version.fileVersion = "brain.Event:2"
    var start = TensorBoardEvent()
    start.wallTime = now
    start.sessionLog.status = .start
    let events = [version, start] + history.map(Self.event)
    file = try GrowingFile("\(folder)/\(name)", contents: try events.flatMap(Self.record))
  }

  private static let prefix = "events.out.tfevents."

  func append(_ epoch: EpochMetrics) throws { try file.append(Self.record(Self.event(epoch))) }

  /// Returns a record: length, checksum of the length, event, and checksum of the event.
  static func record(_ event: TensorBoardEvent) throws -> [UInt8] {
    let data: [UInt8] = try event.serializedBytes()
    let length = littleEndian(UInt64(data.count))
    return length + littleEndian(CRC32C.masked(length)) + data + littleEndian(CRC32C.masked(data))
  }

  private static func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
    (0..<value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
  }

  private static func event(_ epoch: EpochMetrics) -> TensorBoardEvent {
    var event = TensorBoardEvent()
    event.wallTime = epoch.time
    // TensorBoard shows the step to people, who count epochs from 1.
    event.step = Int64(epoch.epoch + 1)
    event.summary.value = epoch.scalars.map { tag, value in
      var scalar = TensorBoardSummary.Value()
      scalar.tag = tag
      scalar.simpleValue = Float(value)
      return scalar
    }
    return event
  }
}

extension EpochMetrics {
  /// The numbers for TensorBoard, with one tag each, such as `train/loss`; a list gives its mean.
  fileprivate var scalars: [(tag: String, value: Double)] {
    guard let data = try? JSONEncoder().encode(self), let tree = try? JSONSerialization.jsonObject(with: data) else { return [] }
    func walk(_ value: Any, _ tag: String) -> [(tag: String, value: Double)] {
      switch value {
      case let children as [String: Any]:
        children.sorted { $0.key < $1.key }.flatMap { walk($0.value, tag.isEmpty ? $0.key : "\(tag)/\($0.key)") }
      case let list as [NSNumber]: list.isEmpty ? [] : [(tag, list.reduce(0) { $0 + $1.doubleValue } / Double(list.count))]
      case let number as NSNumber: [(tag, number.doubleValue)]
      default: []
      }
    }
    return walk(tree, "").filter { !["epoch", "time", "validation/samples"].contains($0.tag) }
  }
}

/// The cyclic redundancy check of TensorFlow's record files, with Castagnoli's polynomial (RFC 3720, appendix B.4).
enum CRC32C {
  /// The remainder of every byte, with reversed bits.
  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0x82F6_3B78 : value >> 1 }
  }

  static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
    ~bytes.reduce(~0) { crc, byte in table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] ^ crc >> 8 }
  }

  /// Returns the checksum as record files store it: rotated and with an offset, because data may contain their own checksum.
  static func masked(_ bytes: some Sequence<UInt8>) -> UInt32 {
    let crc = checksum(bytes)
    return (crc >> 15 | crc << 17) &+ 0xA282_EAD8
  }
}
