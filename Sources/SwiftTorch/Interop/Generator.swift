import CTorchShim

/// A source of random numbers, PyTorch's `torch.Generator`.
///
/// Every random operation, layer and loader takes one; there is no global seed. The CPU generator is the same Mersenne twister as
/// PyTorch's, so a seed gives the same draws here and there.
public final class Generator {
  let handle: ts_generator
  public let device: Device

  /// A CPU generator.
  public convenience init(seed: UInt64) {
    do { try self.init(seed: seed, device: .cpu) } catch { fatalError("Generator: \(error.message)") }
  }

  /// - Throws: `TorchError` when the device is not there.
  public init(seed: UInt64, device: Device) throws(TorchError) {
    var out: ts_generator?
    try TorchError.check(ts_generator_new(device.abi, seed, &out))
    handle = out!
    self.device = device
  }

  deinit { ts_generator_free(handle) }

  /// Starts over from a seed (`manual_seed`).
  public func reseed(_ seed: UInt64) {
    guard ts_generator_set_seed(handle, seed) == TS_OK else { fatalError("Generator.reseed: \(lastErrorMessage())") }
  }

  /// The whole state as a CPU uint8 tensor in PyTorch's layout (`get_state`).
  public var state: Tensor {
    var out: ts_tensor?
    guard ts_generator_state(handle, &out) == TS_OK, let out else { fatalError("Generator.state: \(lastErrorMessage())") }
    return Tensor(owning: out)
  }

  /// Goes on from a saved state (`set_state`).
  ///
  /// - Throws: `TorchError` when `state` is not the state of a generator of this kind of device.
  public func restore(_ state: Tensor) throws(TorchError) {
    try TorchError.check(ts_generator_set_state(handle, state.handle))
  }
}

extension Generator: RandomNumberGenerator {
  /// 64 random bits, so that the generator also serves Swift's own `shuffled(using:)` and `random(in:using:)`.
  public func next() -> UInt64 {
    let halves = Tensor.randint(0..<(1 << 32), [2], generator: self, device: device).array(of: Int.self)
    return UInt64(halves[0]) << 32 | UInt64(halves[1])
  }
}
