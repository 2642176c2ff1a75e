import SwiftTorch
import Testing

@Suite struct RuntimeTests {
  @Test func versionsAgreeWithTheShimThatIsLoaded() {
    #expect(Torch.abiVersion == Torch.expectedABIVersion)
    #expect(Torch.version.hasPrefix("2."))
    #expect(Torch.buildConfiguration.contains("PyTorch built with"))
    #expect(!Torch.cpuCapability.isEmpty)
  }

  @Test func deviceNamesAreParsed() throws {
    #expect(try Device("cpu") == .cpu)
    #expect("\(Device.cuda(1))" == "cuda:1")
    #expect(try Device.cpu.name() == "CPU")
    try Device.cpu.synchronize()
    #expect(Device.best == (Device.cudaCount > 0 ? .cuda(0) : .cpu))
    for text in ["", "gpu", "cuda:x", "cuda:-1", "cuda:", "cuda:1:2", "CPU"] {
      expectTorchError(["device '\(text)' is not known; expected cpu, cuda or cuda:N"]) { _ = try Device(text) }
    }
    expectTorchError(["device 'cuda:\(Device.cudaCount)' is not there: "]) { _ = try Device("cuda:\(Device.cudaCount)") }
    expectTorchError([]) { _ = try Generator(seed: 0, device: .cuda(Device.cudaCount)) }
  }

  @Test func threadCountsAreChecked() {
    #expect(Torch.threadCount >= 1)
    expectTorchError(["0 threads were asked for; expected at least 1"]) { try Torch.setThreadCount(0) }
  }

  @Test func threadCountIsSet() async {
    // The number of threads belongs to the process, and other tests run in this process.
    await #expect(processExitsWith: .success) {
      try Torch.setThreadCount(1)
      #expect(Torch.threadCount == 1)
      try Torch.setThreadCount(2)
      #expect(Torch.threadCount == 2)
    }
  }

  @Test func dtypesHaveTheirSizesAndNames() {
    for dtype in DType.allCases {
      let tensor = Tensor.zeros([3], dtype: dtype)
      #expect(tensor.dtype == dtype)
      #expect(tensor.hostBytes().count == 3 * dtype.size)
      #expect("\(tensor)".contains("dtype: \(dtype)"))
      #expect(dtype.isFloatingPoint == ["float16", "bfloat16", "float32", "float64"].contains("\(dtype)"))
    }
  }
}
