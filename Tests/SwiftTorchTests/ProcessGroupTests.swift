import Foundation
import SwiftTorch
import Testing

private func meetingPlace() -> String {
  FileManager.default.temporaryDirectory.appending(path: "swifttorch-group-\(UUID().uuidString)").path(percentEncoded: false)
}

private let hasGloo: Bool = {
  let path = meetingPlace()
  defer { try? FileManager.default.removeItem(atPath: path) }
  do {
    _ = try ProcessGroup(meetingAt: path, rank: 0, size: 1, timeout: 10)
    return true
  } catch {
    print("process groups are not tested: \(error)")
    return (error as? TorchError)?.code != .notImplemented
  }
}()

/// Runs one of two members. The exit test that calls it gives the rank.
private func member(_ rank: Int, meetingAt path: String) throws {
  let group = try ProcessGroup(meetingAt: path, rank: rank, size: 2, timeout: 60)
  #expect((group.rank, group.size) == (rank, 2))
  func combined(_ combination: ProcessGroup.Combination) throws -> [Float] {
    let tensor = Tensor([Float(rank + 1), Float(10 * rank), 3])
    try group.allReduce(tensor, combination)
    return tensor.array(of: Float.self)
  }
  #expect(try combined(.sum) == [3, 10, 6])
  #expect(try combined(.product) == [2, 0, 9])
  #expect(try combined(.minimum) == [1, 0, 3])
  #expect(try combined(.maximum) == [2, 10, 3])
  let tensor = Tensor([Float(rank), 7])
  try group.broadcast(tensor, from: 1)
  #expect(tensor.array(of: Float.self) == [1, 7])
  try group.barrier()
}

@Suite(.enabled(if: hasGloo, "this libtorch was built without gloo")) struct ProcessGroupTests {
  @Test func aGroupOfOneKeepsItsValues() throws {
    let path = meetingPlace()
    defer { try? FileManager.default.removeItem(atPath: path) }
    let group = try ProcessGroup(meetingAt: path, rank: 0, size: 1, timeout: 10)
    let tensor = Tensor([1, 2] as [Float])
    try group.allReduce(tensor)
    try group.broadcast(tensor)
    try group.barrier()
    #expect(tensor.array(of: Float.self) == [1, 2])
  }

  @Test func twoProcessesCombineTheirTensors() async {
    let path = meetingPlace()
    defer { try? FileManager.default.removeItem(atPath: path) }
    await withTaskGroup(of: Void.self) { tasks in
      tasks.addTask { await #expect(processExitsWith: .success) { [path = path as String] in try member(0, meetingAt: path) } }
      tasks.addTask { await #expect(processExitsWith: .success) { [path = path as String] in try member(1, meetingAt: path) } }
    }
  }

  @Test func whoWaitsInVainIsTold() {
    let path = meetingPlace()
    defer { try? FileManager.default.removeItem(atPath: path) }
    expectTorchError([]) { _ = try ProcessGroup(meetingAt: path, rank: 0, size: 2, timeout: 1) }
  }

  @Test(arguments: [(-1, 2), (2, 2), (0, 0)]) func ranksAreChecked(_ rank: Int, _ size: Int) {
    expectTorchError(["rank \(rank) of a process group of \(size); expected 0 <= rank < size"]) {
      _ = try ProcessGroup(meetingAt: meetingPlace(), rank: rank, size: size)
    }
  }
}
