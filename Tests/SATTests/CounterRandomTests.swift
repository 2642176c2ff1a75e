import SwiftTorch
import Testing

@testable import SAT

@Suite struct CounterRandomTests {
  // The known answers of Random123's own tests.
  static let knownAnswers: [(SIMD4<UInt32>, UInt64, SIMD4<UInt32>)] = [
    (SIMD4<UInt32>(repeating: 0), UInt64(0), SIMD4<UInt32>(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8)),
    (SIMD4<UInt32>(repeating: UInt32.max), UInt64.max, SIMD4(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd)),
    (
      SIMD4(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344), 0x299f_31d0_a409_3822,
      SIMD4(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1)
    ),
  ]

  @Test func philoxIsTheReference() {
    for (counter, key, expected) in Self.knownAnswers { #expect(Philox.block(counter: counter, key: key) == expected) }
  }

  @Test func everyPartOfTheKeyMatters() {
    let base = CounterRandom(seed: 1, sample: 2, attack: "a", target: 3, restart: 4)
    let others = [
      CounterRandom(seed: 2, sample: 2, attack: "a", target: 3, restart: 4),
      .init(seed: 1, sample: 3, attack: "a", target: 3, restart: 4),
      .init(seed: 1, sample: 2, attack: "b", target: 3, restart: 4), .init(seed: 1, sample: 2, attack: "a", target: 4, restart: 4),
      .init(seed: 1, sample: 2, attack: "a", restart: 4), .init(seed: 1, sample: 2, attack: "a", target: 3, restart: 5),
    ]
    let draws = ([base] + others).map { $0.uniform(step: 7, count: 3) } + [base.uniform(step: 8, count: 3)]
    #expect(Set(draws).count == draws.count)
    #expect(base.uniform(step: 7, count: 5).prefix(3) == base.uniform(step: 7, count: 3)[...], "more draws keep the first ones")
    let tensors = ([base] + others).map { $0.tensor(step: 7, [4], .uniform).array(of: Float.self) }
    #expect(Set(tensors).count == tensors.count)
  }

  @Test func drawsAreUniformAndIndependentOfTheBatch() {
    let draws = (0..<2000).flatMap { CounterRandom(seed: 0, sample: $0, attack: "square").uniform(step: $0 % 7, count: 5) }
    let mean = draws.reduce(0, +) / Double(draws.count)
    let variance = draws.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / Double(draws.count)
    #expect(draws.allSatisfy { $0 >= 0 && $0 < 1 })
    // The tolerance is four standard errors of 10,000 draws.
    #expect(abs(mean - 0.5) < 4 * (1.0 / 12 / 10_000).squareRoot() && abs(variance - 1.0 / 12) < 4 * 0.0745 / 100)

    let streams = (0..<6).map { CounterRandom(seed: 3, sample: $0, attack: "apgd-ce") }
    let together = CounterRandom.tensors(streams, step: 2, [3, 4, 4], .normal)
    for (i, stream) in streams.enumerated() { expectIdentical(together[i], stream.tensor(step: 2, [3, 4, 4], .normal)) }
  }
}

@Suite struct L1BallTests {
  /// Projects by bisection in double precision.
  static func reference(_ z: [Double], _ x: [Double], _ radius: Double) -> [Double] {
    func moved(_ threshold: Double) -> [Double] {
      zip(z, x).map { z, x in
        let length = min(max(abs(z - x) - threshold, 0), z > x ? 1 - x : x)
        return z > x ? length : -length
      }
    }
    func total(_ threshold: Double) -> Double { moved(threshold).reduce(0) { $0 + abs($1) } }
    var (low, high) = (0.0, 10.0)
    if total(0) <= radius { high = 0 }
    for _ in 0..<200 {
      let middle = (low + high) / 2
      if total(middle) > radius { low = middle } else { high = middle }
    }
    return zip(x, moved(high)).map { $0 + $1 }
  }

  @Test(arguments: [1, 2, 3], [0.05, 1, 12])
  func projectionIsTheDefinition(seed: UInt64, radius: Double) {
    let generator = Generator(seed: seed)
    let x = Tensor.rand([40, 3, 5, 7], generator: generator, dtype: .float64)
    let scale = Tensor.rand([40, 1, 1, 1], generator: generator, dtype: .float64) * 2.0
    let z = x + scale * Tensor.randn(x.shape, generator: generator, dtype: .float64)
    let projected = L1Ball.projected(z, around: x, radii: .full([40], radius, dtype: .float64))
    let (rows, points) = (x.flattened(from: 1), z.flattened(from: 1))
    for i in 0..<40 {
      let expected = Self.reference(points[i].array(of: Double.self), rows[i].array(of: Double.self), radius)
      let actual = projected.flattened(from: 1)[i].array(of: Double.self)
      #expect(zip(actual, expected).allSatisfy { abs($0 - $1) < 1e-9 })
    }
    // In single precision the result is inside the ball and close to the reference.
    let single = L1Ball.projected(z.to(.float32), around: x.to(.float32), radii: .full([40], radius))
    #expect(single.to(.float64).isClose(to: projected, relative: 0, absolute: 2e-6))
    #expect((single - x.to(.float32)).flattened(from: 1).norm(1, dims: [1]).max().item() <= radius * (1 + 1e-6))
    #expect(single.min().item() >= 0 && single.max().item() <= 1)
  }
}
