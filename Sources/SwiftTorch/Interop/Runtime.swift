import CTorchShim
internal import Foundation

extension Device {
  var abi: ts_device {
    switch self {
    case .cpu: ts_device(type: Int8(TS_CPU), index: -1)
    case .cuda(let index): ts_device(type: Int8(TS_CUDA), index: Int8(index))
    }
  }

  init(abi: ts_device) { self = Int(abi.type) == TS_CPU ? .cpu : .cuda(Int(max(abi.index, 0))) }

  /// The number of CUDA devices that libtorch sees.
  public static var cudaCount: Int { Int(ts_device_count(Int8(TS_CUDA))) }

  /// Returns the driver's name of the device; "CPU" for the CPU.
  public func name() throws(TorchError) -> String {
    guard isCUDA else { return "CPU" }
    var buffer = [CChar](repeating: 0, count: 256)
    try TorchError.check(ts_device_name(abi, &buffer, buffer.count))
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Waits until the device has finished all its work. On the CPU it returns at once.
  public func synchronize() throws(TorchError) { if isCUDA { try TorchError.check(ts_device_synchronize(abi)) } }

  /// Returns the bytes that libtorch's allocator holds on a CUDA device: now, and at most since the last `resetPeakMemory()`.
  public func memory() throws(TorchError) -> (allocated: Int, peak: Int) {
    var (allocated, peak): (Int64, Int64) = (0, 0)
    try TorchError.check(ts_device_memory(abi, &allocated, &peak))
    return (Int(allocated), Int(peak))
  }

  /// Restarts the measurement of peak memory on a CUDA device.
  public func resetPeakMemory() throws(TorchError) { try TorchError.check(ts_device_memory_reset_peak(abi)) }
}

/// Settings and facts of the loaded libtorch: versions, threads, memory.
public enum Torch {
  /// The version of libtorch, such as "2.13.0".
  public static var version: String { String(cString: ts_torch_version()) }
  /// The version of the loaded shim's C ABI.
  public static var abiVersion: Int { Int(ts_abi_version()) }
  /// The version of the C ABI that this library was compiled for.
  public static var expectedABIVersion: Int { Int(TS_ABI_VERSION) }
  /// The options with which libtorch was built (`torch.__config__.show()`).
  public static var buildConfiguration: String { String(cString: ts_build_configuration()) }
  /// The instruction set of the CPU kernels, such as "AVX512".
  public static var cpuCapability: String { String(cString: ts_cpu_capability()) }
  /// True if libtorch was built with oneDNN.
  public static var hasOneDNN: Bool { ts_has_onednn() }
  /// True if the processor has instructions for products of bfloat16 numbers. Without them, bfloat16 is slower than float32.
  public static let hasBFloat16Instructions: Bool = {
    let lines = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?.split(separator: "\n") ?? []
    let features = lines.first { $0.hasPrefix("flags") || $0.hasPrefix("Features") }?.split { $0.isWhitespace } ?? []
    return !Set(features).isDisjoint(with: ["avx512_bf16", "amx_bf16", "bf16"])
  }()
  /// The number of live handles of the shim: tensors, generators, scripts and process groups. Tests for leaks use it.
  public static var liveHandleCount: Int { Int(ts_live_handles()) }

  /// Seeds libtorch's own generators (`torch.manual_seed`). TorchScript archives draw from them, because they take no `Generator`.
  public static func manualSeed(_ seed: UInt64) throws(TorchError) { try TorchError.check(ts_manual_seed(seed)) }

  /// The number of threads that an operator may use (`torch.get_num_threads()`).
  public static var threadCount: Int { Int(ts_threads()) }

  /// Sets the number of threads that an operator may use (`torch.set_num_threads`). The count must be positive.
  public static func setThreadCount(_ count: Int) throws(TorchError) {
    guard let narrow = Int32(exactly: count), narrow > 0 else {
      throw TorchError(.value, "\(count) threads were asked for; expected at least 1")
    }
    try TorchError.check(ts_threads_set(narrow))
  }

  /// Lets the C allocator keep freed memory for reuse instead of returning every large block to the system.
  ///
  /// A training step frees and allocates the same activations again. Without this setting, each costs a page fault per 4 KiB.
  /// The setting belongs to the process, so only programs should call it. The result is false if the C library has none.
  @discardableResult public static func keepHostMemory() -> Bool { ts_host_memory_keep() }

  /// Runs `body` with operators on `device` that compute in `dtype` if autocast allows it (`torch.autocast`), or without it if nil.
  ///
  /// Do not nest calls, because the end of the inner call turns autocast off.
  public static func withAutocast<R, E: Error>(_ dtype: DType?, on device: Device, _ body: () throws(E) -> R) throws(E) -> R {
    guard let dtype else { return try body() }
    setAutocast(true, dtype, device)
    defer { setAutocast(false, dtype, device) }
    return try body()
  }

  private static func setAutocast(_ enabled: Bool, _ dtype: DType, _ device: Device) {
    guard ts_autocast_set(device.abi.type, enabled, dtype.rawValue) == TS_OK else { fatalError("autocast: \(lastErrorMessage())") }
  }
}
