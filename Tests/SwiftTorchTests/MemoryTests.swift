import Foundation
import SwiftTorch
import Testing

/// Resident memory of this process in bytes.
private func residentMemory() throws -> Int {
  let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
  return try #require(Int(fields[1])) * Int(sysconf(Int32(_SC_PAGESIZE)))
}

/// What repeating `body` leaves behind: handles in all, and bytes of memory after a first stretch.
private func remains(rounds: Int, _ body: () throws -> Void) throws -> (handles: Int, bytes: Int) {
  // Worker threads would only wait for each other beside the other tests' processes.
  try Torch.setThreadCount(1)
  let handles = Torch.liveHandleCount
  for _ in 0..<max(rounds / 10, 20) { try body() }
  let before = try residentMemory()
  for _ in 0..<rounds { try body() }
  return (Torch.liveHandleCount - handles, try residentMemory() - before)
}

private let allowedGrowth = 4 << 20

private func expectNothingLeft(rounds: Int, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void) throws {
  let left = try remains(rounds: rounds, body)
  #expect(left.handles == 0, sourceLocation: sourceLocation)
  #expect(left.bytes < allowedGrowth, sourceLocation: sourceLocation)
}

/// Every way a tensor comes into being: operators of fixed and of any arguments, lists in and out, views, host data, gradients.
private func tenOperations() {
  let x = Tensor([1, 2, 3, 4] as [Float]).requireGrad()
  var y = x + 1
  y *= x
  let pieces = y.split(size: 2)
  let joined = Tensor.concatenated(pieces)
  let (values, _) = joined.sorted(descending: true)
  let loss = values[..<2].sum()
  let gradient = Tensor.gradient(of: loss, withRespectTo: x)
  _ = gradient.array(of: Float.self)
}

private func makeNetwork() -> Sequential {
  let generator = Generator(seed: 1)
  return Sequential(
    Conv2d(1, 4, kernel: 3, generator: generator), BatchNorm2d(4), ReLU(), MaxPool2d(2), Flatten(),
    Dropout(0.2, generator: generator), Linear(36, 3, generator: generator))
}

/// Tests run side by side in one process, so each of these counts in a process of its own.
@Suite struct MemoryTests {
  @Test func aHundredThousandOperationsLeaveNothing() async {
    await #expect(processExitsWith: .success) {
      try expectNothingLeft(rounds: 10_000, tenOperations)
    }
  }

  @Test func aHundredTrainingStepsLeaveNothing() async {
    await #expect(processExitsWith: .success) {
      let start = Torch.liveHandleCount
      try {
        let model = makeNetwork()
        let optimizers: [any Optimizer] = [
          SGD(model.parameters, learningRate: 0.01, momentum: 0.9), Adam(model.parameters, learningRate: 0.001),
        ]
        let (x, y) = (Tensor.rand([8, 1, 8, 8], generator: Generator(seed: 2)), Tensor((0..<8).map { $0 % 3 }))
        func step() {
          for optimizer in optimizers {
            optimizer.clearGradients()
            model(x).crossEntropy(y).backward()
            optimizer.step()
          }
        }
        step()
        let handles = Torch.liveHandleCount
        // Gradients live in the weights, without handles of their own.
        try expectNothingLeft(rounds: 100, step)
        #expect(Torch.liveHandleCount == handles)
        #expect(handles > start)
      }()
      #expect(Torch.liveHandleCount == start, "the model and its optimizers leave handles")
    }
  }

  @Test func errorsLeaveNothing() async {
    await #expect(processExitsWith: .success) {
      let x = Tensor.ones(2).requireGrad()
      let script = try ScriptModule(FileContents(Fixtures.bytes("files/tiny.ts"), name: "tiny.ts"))
      try expectNothingLeft(rounds: 300) {
        #expect(throws: TorchError.self) { try Tensor.checkedGradient(of: .ones([]), withRespectTo: x) }
        #expect(throws: TorchError.self) { try script(.zeros(1, 2, 8, 8)) }
        #expect(throws: TorchError.self) { try ScriptModule(FileContents([1, 2, 3], name: "garbage")) }
        #expect(throws: TorchError.self) { try Linear(2, 2, generator: Generator(seed: 0)).loadStateDict([]) }
      }
    }
  }

  @Test func scriptsAndGeneratorsAreReleased() async {
    await #expect(processExitsWith: .success) {
      let bytes = try Fixtures.bytes("files/tiny.ts")
      try expectNothingLeft(rounds: 200) {
        let script = try ScriptModule(FileContents(bytes, name: "tiny.ts"))
        _ = try script(.zeros(2, 1, 8, 8))
        _ = try script.namedParameters()
        _ = Generator(seed: 1).state
      }
    }
  }

  @Test func aLeakWouldBeSeen() async {
    await #expect(processExitsWith: .success) {
      var kept: [Tensor] = []
      let left = try remains(rounds: 2000) { kept.append(.zeros(1000)) }
      #expect(left.handles == 2200)
      #expect(left.bytes > allowedGrowth)
      #expect(kept.count == 2200)
    }
  }
}
