import CTorchShim
import Glibc

extension Device {
  var abi: ts_device {
    switch self {
    case .cpu: ts_device(type: Int8(TS_CPU), index: -1)
    case .cuda(let index): ts_device(type: Int8(TS_CUDA), index: Int8(index))
    }
  }

  init(abi: ts_device) {
    self = Int(abi.type) == TS_CPU ? .cpu : .cuda(Int(max(abi.index, 0)))
  }

  /// The number of CUDA devices libtorch sees.
  public static var cudaCount: Int { Int(ts_device_count(Int8(TS_CUDA))) }

  /// The name the driver gives the device; "CPU" for the CPU.
  public func name() throws(TorchError) -> String {
    guard isCUDA else { return "CPU" }
    var buffer = [CChar](repeating: 0, count: 256)
    try TorchError.check(ts_device_name(abi, &buffer, buffer.count))
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Waits until all work queued on the device is done. Nothing to wait for on the CPU.
  public func synchronize() throws(TorchError) {
    if isCUDA { try TorchError.check(ts_device_synchronize(abi)) }
  }

  /// Bytes libtorch's allocator holds on a CUDA device: now, and at most since the last `resetPeakMemory()`.
  public func memory() throws(TorchError) -> (allocated: Int, peak: Int) {
    var (allocated, peak): (Int64, Int64) = (0, 0)
    try TorchError.check(ts_device_memory(abi, &allocated, &peak))
    return (Int(allocated), Int(peak))
  }

  public func resetPeakMemory() throws(TorchError) {
    try TorchError.check(ts_device_memory_reset_peak(abi))
  }
}

/// The libtorch underneath: versions, threads, memory.
public enum Torch {
  /// libtorch's version, e.g. "2.13.0".
  public static var version: String { String(cString: ts_torch_version()) }
  /// The version of the C ABI the loaded shim speaks.
  public static var abiVersion: Int { Int(ts_abi_version()) }
  /// The version of the C ABI this library was compiled against.
  public static var expectedABIVersion: Int { Int(TS_ABI_VERSION) }
  /// How libtorch was built (`torch.__config__.show()`).
  public static var buildConfiguration: String { String(cString: ts_build_configuration()) }
  /// The instruction set its CPU kernels chose, e.g. "AVX512".
  public static var cpuCapability: String { String(cString: ts_cpu_capability()) }
  public static var hasOneDNN: Bool { ts_has_onednn() }
  /// Whether the processor has instructions for products of bfloat16 numbers, without which they are slower than those of float32.
  public static let hasBFloat16Instructions: Bool = {
    guard let file = fopen("/proc/cpuinfo", "r") else { return false }
    defer { fclose(file) }
    var (line, capacity): (UnsafeMutablePointer<CChar>?, Int) = (nil, 0)
    defer { free(line) }
    while getline(&line, &capacity, file) > 0, let line {
      let words = String(cString: line).split { $0.isWhitespace || $0 == ":" }
      guard ["flags", "Features"].contains(words.first) else { continue }
      return !Set(words).isDisjoint(with: ["avx512_bf16", "amx_bf16", "bf16"])
    }
    return false
  }()
  /// Handles the shim has given out and not yet got back: tensors, generators, scripts, process groups. For leak tests.
  public static var liveHandleCount: Int { Int(ts_live_handles()) }

  /// Starts libtorch's own generators from a seed (`torch.manual_seed`): what TorchScript archives draw from, which take no `Generator`.
  public static func manualSeed(_ seed: UInt64) throws(TorchError) { try TorchError.check(ts_manual_seed(seed)) }

  /// Threads an operator may use (`torch.get_num_threads()`).
  public static var threadCount: Int { Int(ts_threads()) }

  /// - Throws: `TorchError` when `count` is not positive.
  public static func setThreadCount(_ count: Int) throws(TorchError) {
    guard let narrow = Int32(exactly: count), narrow > 0 else {
      throw TorchError(.value, "\(count) threads were asked for; expected at least 1")
    }
    try TorchError.check(ts_threads_set(narrow))
  }

  /// Lets the C allocator keep freed memory for reuse instead of returning every large block to the system.
  ///
  /// A training step frees and allocates the same activations again; without this each pays a page fault per 4 KiB. Process-wide,
  /// for programs rather than libraries to call. False where the C library has no such setting.
  @discardableResult
  public static func keepHostMemory() -> Bool { ts_host_memory_keep() }

  /// Runs `body` with operators on `device` computing in `dtype` where autocast deems it safe (`torch.autocast`).
  ///
  /// Not to be nested: leaving the inner one turns autocast off.
  public static func withAutocast<R, E: Error>(
    _ dtype: DType?, on device: Device, _ body: () throws(E) -> R
  ) throws(E) -> R {
    guard let dtype else { return try body() }
    setAutocast(true, dtype, device)
    defer { setAutocast(false, dtype, device) }
    return try body()
  }

  private static func setAutocast(_ enabled: Bool, _ dtype: DType, _ device: Device) {
    guard ts_autocast_set(device.abi.type, enabled, dtype.rawValue) == TS_OK else { fatalError("autocast: \(lastErrorMessage())") }
  }
}
