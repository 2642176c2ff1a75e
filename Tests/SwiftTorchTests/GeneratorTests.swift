import SwiftTorch
import Testing

/// An entry of draws.json.
struct Draw: Decodable, Sendable, CustomTestStringConvertible {
  var name: String?
  let function: String
  let shape: [Int]
  let options: [String: Option]

  var testDescription: String { name ?? function }

  var isInitializer: Bool { function.hasPrefix("kaiming") || function.hasPrefix("xavier") }

  static let kept = 16

  /// Makes the same draw with this library.
  func make(_ generator: Generator) throws -> Tensor {
    let dtype: DType = options.text("dtype") == "float64" ? .float64 : .float32
    let target = Tensor.empty(shape, dtype: dtype)
    switch function {
    case "rand": return .rand(shape, generator: generator, dtype: dtype)
    case "randn": return .randn(shape, generator: generator, dtype: dtype)
    case "randint": return .randint(try options.int("low")..<options.int("high"), shape, generator: generator)
    case "randperm": return .randperm(shape[0], generator: generator)
    case "bernoulli": return target.bernoulliInPlace(try options.double("p"), generator: generator)
    case "uniform_": return target.uniformInPlace(in: try options.double("from")...options.double("to"), generator: generator)
    case "normal_":
      return target.normalInPlace(
        mean: try options.double("mean"), standardDeviation: try options.double("std"), generator: generator)
    case "kaiming_uniform_":
      return Initialization.kaimingUniform(target, fan: fan, nonlinearity: try nonlinearity, generator: generator)
    case "kaiming_normal_":
      return Initialization.kaimingNormal(target, fan: fan, nonlinearity: try nonlinearity, generator: generator)
    case "xavier_uniform_":
      return Initialization.xavierUniform(target, gain: try options.double("gain", default: 1), generator: generator)
    case "xavier_normal_":
      return Initialization.xavierNormal(target, gain: try options.double("gain", default: 1), generator: generator)
    default: throw TorchError(.notImplemented, "draws.json has the function \(function), which this test does not know")
    }
  }

  private var fan: Initialization.Fan { options.text("mode") == "fan_out" ? .output : .input }

  private var nonlinearity: Initialization.Nonlinearity {
    get throws { options.text("nonlinearity") == "relu" ? .relu : .leakyRelu(negativeSlope: try options.double("a", default: 0)) }
  }
}

struct Draws: Decodable, Sendable {
  struct Layer: Decodable, Sendable {
    let name: String
    let layer: String
    let options: [String: Option]
  }

  let seed: UInt64
  let cases: [Draw]
  let layers: [Layer]
  let sequenceSeed: UInt64
  let sequence: [Draw]

  static func load() throws -> Draws { try Fixtures.description("draws") }

  /// Compares draws. Normal numbers depend on the processor's vector width, and all other draws are exact.
  static func compare(_ drawn: Tensor, _ golden: Tensor, _ draw: Draw) {
    let head = drawn.flattened()[..<min(drawn.count, Draw.kept)]
    if draw.function.contains("normal") || draw.function == "randn" {
      expectClose(head, golden, absolute: 1e-6, draw.testDescription)
    } else {
      expectIdentical(head, golden, draw.testDescription)
    }
  }
}

@Suite struct GeneratorTests {
  @Test(arguments: try Draws.load().cases.filter { !$0.isInitializer })
  func aSeedGivesPyTorchsDraws(_ draw: Draw) throws {
    let drawn = try draw.make(Generator(seed: try Draws.load().seed))
    Draws.compare(drawn, try Fixtures.tensors("draws")[try #require(draw.name)], draw)
  }

  @Test func aSequenceOfDrawsIsPyTorchs() throws {
    let draws = try Draws.load()
    let golden = try Fixtures.tensors("draws")
    let generator = Generator(seed: draws.sequenceSeed)
    for (i, draw) in draws.sequence.enumerated() { Draws.compare(try draw.make(generator), try golden["sequence/\(i)"], draw) }
  }

  @Test func aSavedStateContinuesExactly() throws {
    let generator = Generator(seed: 3)
    _ = Tensor.randn([5], generator: generator)
    let state = generator.state
    let expected = Tensor.randn([33], generator: generator)
    let other = Generator(seed: 99)
    try other.restore(state)
    expectIdentical(.randn([33], generator: other), expected)
    try generator.restore(state)
    expectIdentical(.randn([33], generator: generator), expected)
    generator.reseed(3)
    expectIdentical(.rand([4], generator: generator), .rand([4], generator: Generator(seed: 3)))
  }

  @Test func aForeignStateIsRefused() {
    let generator = Generator(seed: 1)
    let before = generator.state
    expectTorchError([]) { try generator.restore(Tensor([1, 2, 3] as [UInt8])) }
    expectTorchError([]) { try generator.restore(Tensor.zeros(10)) }
    #expect(generator.state.isEqual(to: before), "a refused state changes nothing")
  }

  @Test func generatorsAreIndependent() {
    let (a, b) = (Generator(seed: 5), Generator(seed: 5))
    let first = Tensor.rand([8], generator: a)
    _ = Tensor.rand([100], generator: Generator(seed: 6))
    expectIdentical(.rand([8], generator: b), first)
    #expect(!Tensor.rand([8], generator: a).isEqual(to: first))
  }

  @Test func itServesSwiftsOwnAlgorithms() {
    var (a, b) = (Generator(seed: 8), Generator(seed: 8))
    let order = Array(0..<50).shuffled(using: &a)
    #expect(order.sorted() == Array(0..<50))
    #expect(order == Array(0..<50).shuffled(using: &b))
    // All 64 bits must vary.
    let words = (0..<200).map { _ in a.next() }
    #expect(words.reduce(0, |) == .max && words.reduce(.max, &) == 0)
  }

  @Test func multinomialFollowsItsWeights() {
    let weights = Tensor([0, 1, 3] as [Float])
    let drawn = weights.multinomial(4000, replacement: true, generator: Generator(seed: 2))
    let counts = drawn.oneHot(classes: 3).sum(dim: 0).array(of: Int.self)
    #expect(counts[0] == 0)
    // The mean is 3/4 of 4000, with a standard deviation of 27.
    #expect(abs(counts[2] - 3000) < 140)
    let noReplacement = Tensor.ones(20).multinomial(20, generator: Generator(seed: 2))
    #expect(noReplacement.array(of: Int.self).sorted() == Array(0..<20))
  }

  @Test func uniformLikeIsInItsRangeInRowMajorOrder() {
    let like = Tensor.zeros(2, 3, 4, 5).contiguous(.channelsLast)
    let noise = Tensor.uniform(like: like, in: -0.3...0.3, generator: Generator(seed: 4))
    #expect(noise.isContiguous() && noise.shape == like.shape)
    #expect(noise.abs().max().item() <= 0.3 && noise.max().item() > 0.2 && noise.min().item() < -0.2)
    expectIdentical(noise, Tensor.empty([2, 3, 4, 5]).uniformInPlace(in: -0.3...0.3, generator: Generator(seed: 4)))
  }
}
