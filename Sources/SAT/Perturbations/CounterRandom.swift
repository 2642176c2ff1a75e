public import SwiftTorch

/// Random numbers that are a pure function of seed, attack, sample, target, restart and step, on every device and in every batch.
public struct CounterRandom: Sendable {
  /// The distribution of the draws.
  public enum Distribution: Sendable {
    /// Uniform on [0, 1).
    case uniform
    /// Normal with mean 0 and variance 1.
    case normal
  }

  private let key: UInt64

  /// Creates the stream of a sample, numbered as in `AttackBatch.samples`, in a named attack; a target of nil means untargeted.
  public init(seed: UInt64, sample: Int, attack: String, target: Int? = nil, restart: Int = 0) {
    var key = Self.mixed(seed)
    for byte in attack.utf8 { key = Self.mixed(key ^ UInt64(byte)) }
    for part in [sample, target.map { $0 + 1 } ?? 0, restart] { key = Self.mixed(key ^ UInt64(bitPattern: Int64(part))) }
    self.key = key
  }

  /// Returns `count` numbers on [0, 1), 53 random bits each.
  public func uniform(step: Int, count: Int) -> [Double] {
    (0..<count).map { i in
      let block = Philox.block(
        counter: SIMD4(UInt32(truncatingIfNeeded: step), UInt32(truncatingIfNeeded: step >> 32), UInt32(i / 2), 0), key: key)
      let bits = i % 2 == 0 ? UInt64(block[0]) << 32 | UInt64(block[1]) : UInt64(block[2]) << 32 | UInt64(block[3])
      return Double(bits >> 11) * 0x1p-53
    }
  }

  /// Returns a CPU tensor of draws.
  public func tensor(step: Int = 0, _ shape: [Int], _ distribution: Distribution, dtype: DType = .float32) -> Tensor {
    Self.draw(Generator(seed: seed(step)), shape, distribution, dtype)
  }

  /// Returns the draws of several samples, [N] + `shape` on the CPU, the same as each sample's own `tensor(step:)`.
  static func tensors(
    _ streams: [CounterRandom], step: Int = 0, _ shape: [Int], _ distribution: Distribution, dtype: DType = .float32
  ) -> Tensor {
    guard let first = streams.first else { return Tensor.empty([0] + shape, dtype: dtype) }
    let generator = Generator(seed: first.seed(step))
    return Tensor.stacked(
      streams.map { stream in
        generator.reseed(stream.seed(step))
        return draw(generator, shape, distribution, dtype)
      })
  }

  /// Returns the seed of the generator that draws for `step`.
  func seed(_ step: Int) -> UInt64 { Self.mixed(key ^ UInt64(bitPattern: Int64(step))) }

  private static func draw(_ generator: Generator, _ shape: [Int], _ distribution: Distribution, _ dtype: DType) -> Tensor {
    switch distribution {
    case .uniform: Tensor.rand(shape, generator: generator, dtype: dtype)
    case .normal: Tensor.randn(shape, generator: generator, dtype: dtype)
    }
  }

  /// Applies one step of SplitMix64 (Steele, Lea and Flood 2014), a bijection in which every bit affects all others.
  private static func mixed(_ value: UInt64) -> UInt64 {
    var z = value &+ 0x9E37_79B9_7F4A_7C15
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// Philox4x32-10 (Salmon et al. 2011): ten rounds turn a counter and a key into four random words.
enum Philox {
  static func block(counter: SIMD4<UInt32>, key: UInt64) -> SIMD4<UInt32> {
    var c = counter
    var (k0, k1) = (UInt32(truncatingIfNeeded: key), UInt32(truncatingIfNeeded: key >> 32))
    for _ in 0..<10 {
      let a = UInt64(c[0]) * 0xD251_1F53
      let b = UInt64(c[2]) * 0xCD9E_8D57
      c = SIMD4(
        UInt32(b >> 32) ^ c[1] ^ k0, UInt32(truncatingIfNeeded: b), UInt32(a >> 32) ^ c[3] ^ k1, UInt32(truncatingIfNeeded: a))
      k0 = k0 &+ 0x9E37_79B9
      k1 = k1 &+ 0xBB67_AE85
    }
    return c
  }
}

extension Generator {
  /// Creates a CPU generator for one stream of a seed; with a stream per kind of draw, a change in one leaves the others unchanged.
  convenience init(seed: UInt64, stream: UInt64) { self.init(seed: seed &* 4 &+ stream) }
}
