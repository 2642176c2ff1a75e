import SwiftTorch
import Testing

@testable import SAT

/// A model from a closure that records its inputs.
private final class RecordingClassifier: Classifier {
  var execution = Execution()
  private(set) var inputs: [Tensor] = []
  private let function: (Tensor) -> Tensor

  init(_ function: @escaping (Tensor) -> Tensor) { self.function = function }

  func logits(_ images: Tensor) throws(TorchError) -> Tensor {
    inputs.append(images.detached())
    return function(images)
  }

  func move(to device: Device) {}
}

@Suite struct InnerMaximizerTests {
  let images = Tensor.rand([12, 1, 6, 6], generator: Generator(seed: 1), dtype: .float64)
  let labels = Tensor.randint(0..<4, [12], generator: Generator(seed: 2))

  /// A small smooth network in double precision, so rounding does not change the sign of a gradient.
  static func network() -> (Tensor) -> Tensor {
    let generator = Generator(seed: 3)
    let first = Tensor.randn([8, 36], generator: generator, dtype: .float64)
    let second = Tensor.randn([4, 8], generator: generator, dtype: .float64)
    return { x in x.flattened(from: 1).matmul(first.transposed(0, 1)).tanh().matmul(second.transposed(0, 1)) }
  }

  func maximizer(_ norm: Norm = .linf, epsilon: Double = 0.1, steps: Int = 15, stepSize: Double = 0.02) throws -> InnerMaximizer {
    InnerMaximizer(threat: try ThreatModel(norm: norm, epsilon: epsilon), steps: steps, stepSize: stepSize)
  }

  @Test func linearModelEndsAtTheCorner() throws {
    // For two classes with logits ±w·x/2 the worst point of the ball is x + eps·sign, clamped to the box.
    let w = Tensor.randn([36], generator: Generator(seed: 5), dtype: .float64)
    let model = RecordingClassifier { x in
      let score = x.flattened(from: 1).matmul(w)
      return Tensor.stacked([-score / 2.0, score / 2.0], dim: 1)
    }
    let labels = Tensor.zeros([12], dtype: .int64)
    let outcome = try maximizer(steps: 20)(
      model, images, labels, curriculum: FullStrength(), generator: Generator(seed: 9))
    let corner = (images + 0.1 * w.sign().reshaped(to: 1, 1, 6, 6)).clamped(to: 0...1)
    #expect(outcome.images.isClose(to: corner, relative: 0, absolute: 1e-12))
    #expect(outcome.active == Array(repeating: 1, count: 20))
    #expect(outcome.cost == AttackCost(forward: 12 * 20, backward: 12 * 20))
  }

  @Test(arguments: Norm.allCases)
  func everyIterateStaysInTheBallAndTheBox(norm: Norm) throws {
    let model = RecordingClassifier(Self.network())
    let epsilon = [.linf: 0.1, .l2: 0.5, .l1: 2][norm]!
    let threat = try ThreatModel(norm: norm, epsilon: epsilon)
    let outcome = try maximizer(norm, epsilon: epsilon, stepSize: epsilon / 4)(
      model, images, labels, curriculum: FullStrength(), generator: Generator(seed: 9))
    #expect(model.inputs.count == 15)
    for iterate in model.inputs + [outcome.images] {
      #expect(threat.size(from: images, to: iterate).max().item() <= epsilon * (1 + 1e-12))
      #expect(iterate.min().item() >= 0 && iterate.max().item() <= 1)
    }
    #expect(threat.size(from: images, to: outcome.images).min().item() > epsilon / 2, "the attack moves")
  }

  /// Algorithm 1 written out without compaction: every sample goes through the network, and a mask holds the finished ones.
  func masked(_ model: (Tensor) -> Tensor, lambda: Double, from start: Tensor, epsilon: Double, step: Double, steps: Int) -> Tensor
  {
    var x = start
    for _ in 0..<steps {
      let input = x.detached().requireGrad()
      let logits = model(input)
      let gradient = Tensor.gradient(of: logits.crossEntropy(labels, reduction: .sum), withRespectTo: input)
      x = withNoGrad {
        let mask = ProbabilityGap.gap(logits, labels).lessOrEqual(to: lambda).to(.float64).reshaped(to: -1, 1, 1, 1)
        let moved = input.detached() + step * mask * gradient.sign()
        return moved.clamped(between: images - epsilon, and: images + epsilon).clamped(to: 0...1)
      }
    }
    return x
  }

  @Test(arguments: [-0.5, -0.1, 0, 1.0 / 3, 0.7])
  func compactedEqualsMasked(lambda: Double) throws {
    let network = Self.network()
    let maximizer = try maximizer()
    let outcome = try maximizer(
      RecordingClassifier(network), images, labels, curriculum: ProbabilityGap(lambda: lambda), generator: Generator(seed: 9))
    let start = maximizer.threat.randomStart(around: images, generator: Generator(seed: 9))
    let expected = masked(network, lambda: lambda, from: start, epsilon: 0.1, step: 0.02, steps: 15)
    #expect(outcome.images.isClose(to: expected, relative: 0, absolute: 1e-12))
  }

  @Test func someFinishAndSomeDoNot() throws {
    let outcome = try maximizer()(
      RecordingClassifier(Self.network()), images, labels, curriculum: ProbabilityGap(lambda: 0.3), generator: Generator(seed: 9))
    #expect(outcome.active.first! > outcome.active.last!, "the case exercises compaction: \(outcome.active)")
    #expect(outcome.active == outcome.active.sorted(by: >), "a finished sample never comes back")
  }

  @Test func aStoppedSampleNeverMoves() throws {
    let network = Self.network()
    let model = RecordingClassifier(network)
    let outcome = try maximizer()(
      model, images, labels, curriculum: ProbabilityGap(lambda: 0.1), generator: Generator(seed: 9))
    // A stopped sample ends with the image of its last forward pass; the other samples end one step later.
    let judged = (0..<12).count { i in
      let final = outcome.images[i]
      return model.inputs.contains { input in (0..<input.size(0)).contains { input[$0].isEqual(to: final) } }
    }
    let stopped = 12 - Int((outcome.active.last! * 12).rounded())
    #expect(stopped > 0)
    #expect(judged == stopped)
  }

  @Test func belowMinusOneKeepsTheRandomStart() throws {
    let model = RecordingClassifier(Self.network())
    let maximizer = try maximizer()
    let outcome = try maximizer(model, images, labels, curriculum: ProbabilityGap(lambda: -1.1), generator: Generator(seed: 9))
    #expect(outcome.images.isEqual(to: maximizer.threat.randomStart(around: images, generator: Generator(seed: 9))))
    #expect(outcome.active == Array(repeating: 0, count: 15))
    #expect(outcome.cost == AttackCost(forward: 12, backward: 0), "one look, no gradient")
  }

  @Test func lambdaZeroIsFATWithoutTolerance() throws {
    let network = Self.network()
    func run(_ curriculum: some Curriculum) throws -> Tensor {
      try maximizer()(RecordingClassifier(network), images, labels, curriculum: curriculum, generator: Generator(seed: 9)).images
    }
    #expect(try run(ProbabilityGap(lambda: 0)).isEqual(to: run(UntilMisclassified())))
  }

  @Test func lambdaOneIsFullStrength() throws {
    let network = Self.network()
    func run(_ curriculum: some Curriculum) throws -> InnerMaximizer.Outcome {
      try maximizer()(RecordingClassifier(network), images, labels, curriculum: curriculum, generator: Generator(seed: 9))
    }
    let (sat, at) = (try run(ProbabilityGap(lambda: 1)), try run(FullStrength()))
    #expect(sat.images.isEqual(to: at.images))
    #expect(sat.active == at.active)
  }

  @Test func aModelThatIgnoresItsInputIsRefused() throws {
    let constant = RecordingClassifier { x in Tensor.zeros([x.size(0), 4], dtype: .float64) }
    let error = #expect(throws: TorchError.self) {
      try maximizer()(constant, images, labels, curriculum: FullStrength(), generator: Generator(seed: 9))
    }
    #expect(error?.message.contains("differentiable") == true)
  }

  @Test func gapIsTheDefinition() {
    let logits = Tensor.randn([50, 7], generator: Generator(seed: 4), dtype: .float64)
    let labels = Tensor.randint(0..<7, [50], generator: Generator(seed: 5))
    let gaps = ProbabilityGap.gap(logits, labels).array(of: Double.self)
    let p = logits.softmax(dim: 1).array(of: Double.self)
    for (i, y) in labels.array(of: Int.self).enumerated() {
      let row = Array(p[i * 7..<(i + 1) * 7])
      let other = row.enumerated().filter { $0.offset != y }.map(\.element).max()!
      #expect(abs(gaps[i] - (other - row[y])) < 1e-12)
    }
  }
}
