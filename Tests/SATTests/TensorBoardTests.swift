import Foundation
import Testing

@testable import SAT

@Suite struct TensorBoardTests {
  /// The test vectors of RFC 3720, appendix B.4, and the published check value.
  @Test func castagnolisChecksum() {
    #expect(CRC32C.checksum(Array("123456789".utf8)) == 0xE306_9283)
    #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(CRC32C.checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
    #expect(CRC32C.checksum((0..<32).map { UInt8($0) }) == 0x46DD_794E)
    #expect(CRC32C.checksum([]) == 0)
  }

  /// The bytes that TensorBoard's own writer gives for the same events (`Tests/Fixtures/make_events.py`).
  @Test func recordsAreTensorBoardsByteForByte() throws {
    func event(_ time: Double, step: Int64 = 0, _ fill: (inout TensorBoardEvent) -> Void) -> TensorBoardEvent {
      var event = TensorBoardEvent()
      event.wallTime = time
      event.step = step
      fill(&event)
      return event
    }
    func scalars(_ values: [(String, Float)]) -> [TensorBoardSummary.Value] {
      values.map { tag, number in
        var value = TensorBoardSummary.Value()
        value.tag = tag
        value.simpleValue = number
        return value
      }
    }
    let events = [
      event(1_700_000_000.25) { $0.fileVersion = "brain.Event:2" }, event(1_700_000_000.25) { $0.sessionLog.status = .start },
      event(1_700_000_001.5) { $0.summary.value = scalars([("train/loss", 2.25), ("lambda", 0)]) },
      event(1_700_000_301.75, step: 300) { $0.summary.value = scalars([("validation/robust", 0.1), ("psi", -1e-3)]) },
    ]
    #expect(try events.flatMap(TensorBoardLog.record) == Fixtures.bytes("events.tfevents"))
  }

  @Test func aRunsFileHoldsItsHistoryAndReplacesAnOlderOne() throws {
    let scratch = try Scratch()
    try Data().write(to: URL(fileURLWithPath: scratch.file("events.out.tfevents.1.sat.1")))
    let epochs = (0..<3).map { epoch in
      var sums = EpochSums()
      sums.seconds = 1
      sums.add(
        .init(loss: 2, gradientNorm: 1, labels: [1], predictions: [0], perturbation: [0.5], active: [1, 0], gaps: [0.25]),
        isLate: false)
      return sums.metrics(epoch: epoch, lambda: 0, learningRate: 0.5, on: "cpu")
    }
    let log = try TensorBoardLog(folder: scratch.path, history: Array(epochs[..<2]))
    try log.append(epochs[2])
    let files = try FileManager.default.contentsOfDirectory(atPath: scratch.path)
    #expect(files.count == 1)
    let events = try records(in: [UInt8](Data(contentsOf: URL(fileURLWithPath: scratch.file(files[0])))))
    #expect(events.map(\.step) == [0, 0, 1, 2, 3])
    #expect(events[0].fileVersion == "brain.Event:2" && events[1].sessionLog.status == .start)
    let last = Dictionary(uniqueKeysWithValues: events[4].summary.value.map { ($0.tag, $0.simpleValue) })
    #expect(last["train/loss"] == 2 && last["lambda"] == 0 && last["active"] == 0.5 && last["psi/p50"] == 0.25)
    #expect(last["train/accuracy"] == 0 && last["learningRate"] == 0.5 && last["epoch"] == nil)
  }

  /// Reads records back, checking both checksums by the definition rather than the writer's table.
  private func records(in bytes: [UInt8]) throws -> [TensorBoardEvent] {
    func number(_ slice: ArraySlice<UInt8>) -> UInt64 { slice.reversed().reduce(0) { $0 << 8 | UInt64($1) } }
    func masked(_ slice: ArraySlice<UInt8>) -> UInt64 {
      var crc: UInt32 = ~0
      for byte in slice {
        crc ^= UInt32(byte)
        for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
      }
      crc = ~crc
      return UInt64((crc >> 15 | crc << 17) &+ 0xA282_EAD8)
    }
    var events: [TensorBoardEvent] = []
    var start = 0
    while start < bytes.count {
      let length = Int(number(bytes[start..<start + 8]))
      let data = bytes[start + 12..<start + 12 + length]
      #expect(number(bytes[start + 8..<start + 12]) == masked(bytes[start..<start + 8]))
      #expect(number(bytes[start + 12 + length..<start + 16 + length]) == masked(data))
      events.append(try TensorBoardEvent(serializedBytes: Array(data)))
      start += 16 + length
    }
    return events
  }
}
