import CTorchShim

/// A source of random numbers, PyTorch's `torch.Generator`.
///
/// There is no global seed. The CPU generator is PyTorch's Mersenne twister, so a seed gives the same draws as in PyTorch.
public final class Generator {
  let handle: ts_generator
  public let device: Device

  /// Makes a CPU generator.
  public convenience init(seed: UInt64) {
    do { try self.init(seed: seed, device: .cpu) } catch { fatalError("Generator: \(error.message)") }
  }

  /// Makes a generator on a device, or throws if the machine does not have the device.
  public init(seed: UInt64, device: Device) throws(TorchError) {
    var out: ts_generator?
    try TorchError.check(ts_generator_new(device.abi, seed, &out))
    handle = out!
    self.device = device
  }

  deinit { ts_generator_free(handle) }

  /// Restarts the generator from a seed (`manual_seed`).
  public func reseed(_ seed: UInt64) {
    guard ts_generator_set_seed(handle, seed) == TS_OK else { fatalError("Generator.reseed: \(lastErrorMessage())") }
  }

  /// The whole state, as a uint8 tensor on the CPU in PyTorch's layout (`get_state`).
  public var state: Tensor {
    var out: ts_tensor?
    guard ts_generator_state(handle, &out) == TS_OK, let out else { fatalError("Generator.state: \(lastErrorMessage())") }
    return Tensor(owning: out)
  }

  /// Continues from a saved state (`set_state`). The state of a generator for another kind of device is an error.
  public func restore(_ state: Tensor) throws(TorchError) { try TorchError.check(ts_generator_set_state(handle, state.handle)) }
}

extension Generator: RandomNumberGenerator {
  /// Draws 64 random bits, so Swift's `shuffled(using:)` and `random(in:using:)` can use the generator.
  public func next() -> UInt64 {
    let halves = Tensor.randint(0..<(1 << 32), [2], generator: self, device: device).array(of: Int.self)
    return UInt64(halves[0]) << 32 | UInt64(halves[1])
  }
}
