import Testing

@testable import SwiftTorch

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

  @Test(arguments: DType.allCases)
  func dtypesHaveTheirSizesAndNames(dtype: DType) throws {
    #expect(DType(named: "\(dtype)") == dtype && DType(named: "torch.\(dtype)") == nil)
    guard !dtype.isQuantized else { return }
    let bytes = (0..<3 * dtype.size).map { dtype == .bool ? UInt8($0 % 2) : UInt8($0) }
    let tensor = Tensor(bytes: bytes[...], shape: [3], dtype: dtype)
    #expect(tensor.dtype == dtype)
    #expect(tensor.hostBytes() == bytes)
    let reversed = tensor.asStrided(size: [2], stride: [2], offset: 0)
    #expect(reversed.hostBytes() == Array(bytes.prefix(dtype.size) + bytes.suffix(dtype.size)))
    #expect("\(tensor)".contains("dtype: \(dtype)"))
    #expect(tensor.fingerprint != Tensor(bytes: bytes.reversed()[...], shape: [3], dtype: dtype).fingerprint || dtype == .bool)
    #expect(dtype.isFloatingPoint == "\(dtype)".contains("float"))
    #expect(dtype.isComplex == "\(dtype)".hasPrefix("complex"))
  }

  /// A tensor of any layout and type in an archive has bytes and a fingerprint.
  @Test func oddTensorsHaveBytes() {
    let numbers = Tensor([0.1, 0.3] as [Float])
    let quantized = Operator("quantize_per_tensor")(.tensor(numbers), .double(0.1), .int(5), .dtype(.quint8))
    #expect(quantized.dtype == .quint8 && quantized.hostBytes() == [6, 8] && "\(quantized)".contains("quint8"))
    let sparse = Operator("to_sparse")(Tensor([0, 7, 0]))
    #expect(sparse.array(of: Int.self) == [0, 7, 0])
  }
}
