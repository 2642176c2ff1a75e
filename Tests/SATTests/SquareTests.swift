import SwiftTorch
import Testing

@testable import SAT

/// A classifier from a function, that remembers what it answered.
final class FunctionClassifier: Classifier {
  var execution = Execution()
  /// How many samples were asked about, call by call, and what was answered.
  private(set) var answers: [Tensor] = []
  private let function: (Tensor) -> Tensor

  init(_ function: @escaping (Tensor) -> Tensor) { self.function = function }

  var asked: Int { answers.reduce(0) { $0 + $1.size(0) } }

  func logits(_ images: Tensor) throws(TorchError) -> Tensor {
    let logits = function(images)
    answers.append(logits.detached())
    return logits
  }

  func move(to device: Device) {}
}

extension LinearOracle {
  /// Draws weights, biases and images without regard to the box.
  init(_ shape: [Int] = [24, 1, 10, 10], classes: Int = 5, seed: UInt64, dtype: DType = .float32) {
    let generator = Generator(seed: seed)
    self.init(
      .randn([classes, shape.dropFirst().reduce(1, *)], generator: generator, dtype: dtype),
      .randn([classes], generator: generator, dtype: dtype), .rand(shape, generator: generator, dtype: dtype))
  }

  /// Returns true for each image with a misclassified point in the L-inf ball and the box.
  ///
  /// - Parameter helpless: whether the last row and column, which no window touches, are where they help the attacker least.
  fileprivate func canBeBroken(epsilon: Double, helpless: Bool = false) -> [Bool] {
    let (low, high) = (
      (images - epsilon).clamped(to: 0...).flattened(from: 1), (images + epsilon).clamped(to: ...1).flattened(from: 1)
    )
    let shape = images.shape
    let border = Tensor.zeros(Array(shape.dropFirst()), dtype: .bool)
    if helpless {
      border[.all, shape[2] - 1].fillInPlace(true)
      border[.all, .all, shape[3] - 1].fillInPlace(true)
    }
    let rows = labels.array(of: Int.self)
    return rows.indices.map { i in
      (0..<weights.size(0)).contains { k in
        guard k != rows[i] else { return false }
        let w = weights[rows[i]] - weights[k]
        let isUp = w.less(than: 0).notEqual(to: border.flattened())
        let worst = (low[i].replacing(with: high[i], where: isUp) * w).sum() + bias[rows[i]] - bias[k]
        return worst.item() < 0
      }
    }
  }
}

@Suite struct SquareTests {
  struct Golden: Decodable {
    struct Case: GoldenCase {
      var name: String
      var kind: String
      var norm: Norm
      var epsilon: Double
      var queries: Int?
    }
    struct Images: Decodable {
      var shape: [Int]
      var labels: [Int]
      var cases: [Case]
    }
    var shape: [Int]
    var labels: [Int]
    var cases: [Case]
    /// Images of three channels.
    var colour: Images
  }

  static let golden = Result { try Fixtures.description("autoattack", as: Golden.self) }
  static var squareCases: [Golden.Case] {
    ((try? golden.get()).map { $0.cases + $0.colour.cases } ?? []).filter { $0.kind == "square" }
  }

  @Test func thereAreCases() { #expect(Self.squareCases.count == 6) }

  /// Every query of the reference's stream, against the Python port.
  @Test(arguments: squareCases)
  func compatFollowsTheReference(golden: Golden.Case) throws {
    let common = try Self.golden.get()
    let tensors = try Fixtures.tensors("autoattack")
    let isColour = common.colour.cases.contains { $0.name == golden.name }
    let shape = isColour ? common.colour.shape : common.shape
    let count = shape[0]
    let network = try NetworkClassifier.golden("cnn-a", ["channels": "\(shape[1])"])
    let model = FunctionClassifier { try! network.logits($0) }
    let images = GoldenNumbers.images(shape)
    let labels = Tensor(isColour ? common.colour.labels : common.labels)
    let queries = try #require(golden.queries)
    let square = Square(
      threat: try ThreatModel(norm: golden.norm, epsilon: golden.epsilon), mode: .compat, seed: 0, queries: queries)
    let result = try square.perturb(
      model, AttackBatch(images: images, labels: labels, samples: Array(0..<count), logits: try network.logits(images)))

    var open = Array(0..<count)
    var best = [Double](repeating: .infinity, count: count)
    let margins = try tensors["\(golden.name)/margins"].to(.float64)
    for (step, logits) in model.answers.enumerated() {
      #expect(logits.size(0) == open.count, "query \(step)")
      let found = Square.margins(logits, labels.selecting(Tensor(open)))
      for (sample, margin) in zip(open, found) { best[sample] = min(best[sample], margin) }
      let expected = margins[step].array(of: Double.self)
      #expect(zip(best, expected).allSatisfy { abs($0 - $1) < 1e-4 }, "query \(step): \(best), expected \(expected)")
      open = open.filter { best[$0] > 0 }
      if open.isEmpty { break }
    }
    #expect(result.findings.map { $0 != nil } == best.map { $0 <= 0 })
    for sample in 0..<count {
      let row = (0..<margins.size(0)).first { margins[$0, sample].item() <= 0 }
      #expect(result.findings[sample]?.step == row, "sample \(sample)")
      let image = GoldenNumbers.subset(result.images[sample])
      expectClose(image, try tensors["\(golden.name)/best"][sample], absolute: 1e-5, relative: 0, "sample \(sample)")
    }
  }

  @Test(arguments: [Norm.linf, .l2, .l1], [AttackMode.fast, .compat])
  func findingsAreMisclassifiedInsideTheThreatModel(norm: Norm, mode: AttackMode) throws {
    let problem = LinearOracle(seed: 3)
    let threat = try ThreatModel(norm: norm, epsilon: norm == .linf ? 0.03 : norm == .l2 ? 0.25 : 1.5)
    let square = Square(threat: threat, mode: mode, seed: 1, queries: 300)
    let result = try square.perturb(problem.model, problem.batch())
    #expect(threat.size(from: problem.images, to: result.images).max().item() <= threat.tolerance)
    #expect(result.images.min().item() >= 0 && result.images.max().item() <= 1)
    let wrong = try problem.model.logits(result.images).argmax(dim: 1).notEqual(to: problem.labels).array(of: Bool.self)
    #expect(result.findings.map { $0 != nil } == wrong)
    #expect(wrong.contains(true) && wrong.contains(false), "\(wrong.count { $0 }) broken")
    if norm == .linf {
      #expect(zip(wrong, problem.canBeBroken(epsilon: 0.03)).allSatisfy { !$0 || $1 }, "a sample was broken that cannot be")
    }
  }

  /// The margin of a linear classifier of two classes has no local minimum: what single pixels can reach is found.
  @Test(arguments: [UInt64(1), 2, 3])
  func whatCanBeBrokenIsBroken(seed: UInt64) throws {
    let problem = LinearOracle([60, 1, 8, 8], classes: 2, seed: seed)
    let epsilon = 0.09
    let (possible, certain) = (problem.canBeBroken(epsilon: epsilon), problem.canBeBroken(epsilon: epsilon, helpless: true))
    let result = try Square(threat: try ThreatModel(epsilon: epsilon), seed: seed, queries: 5000).perturb(
      problem.model, problem.batch())
    let broken = result.findings.map { $0 != nil }
    #expect(zip(broken, possible).allSatisfy { !$0 || $1 })
    #expect(zip(certain, broken).allSatisfy { !$0 || $1 })
    #expect(certain.contains(true) && possible.contains(false))
  }

  @Test(arguments: [Norm.linf, .l2, .l1])
  func fastDoesNotDependOnTheBatch(norm: Norm) throws {
    // In double precision, so that the rounding of another batch decides nothing.
    let problem = LinearOracle([20, 3, 9, 9], seed: 4, dtype: .float64)
    let threat = try ThreatModel(norm: norm, epsilon: norm == .linf ? 0.02 : norm == .l2 ? 0.25 : 1.5)
    func run(_ batches: [[Int]], capacity: Int? = nil) throws -> ([Finding?], Tensor) {
      let square = Square(threat: threat, seed: 7, queries: 120)
      var findings = [Finding?](repeating: nil, count: 20)
      let images = problem.images.cloned()
      for rows in batches {
        let result = try square.perturb(problem.model, problem.batch(rows, capacity: capacity))
        for (row, finding) in zip(rows, result.findings) { findings[row] = finding }
        images.copyInPlace(from: result.images, at: Tensor(rows))
      }
      return (findings, images)
    }
    let whole = try run([Array(0..<20)])
    #expect(whole.0.contains { $0 != nil } && whole.0.contains { $0 == nil })
    let shuffled: [Int] = (0..<20).map { $0 * 7 % 20 }
    for other in [try run((0..<20).map { [$0] }), try run([shuffled]), try run([Array(0..<20)], capacity: 3)] {
      #expect(other.0 == whole.0)
      #expect(other.1.isClose(to: whole.1, relative: 0, absolute: 1e-6))
    }
  }

  @Test func theLayoutOfTheImagesDoesNotMatter() throws {
    let problem = LinearOracle([12, 3, 8, 8], seed: 5)
    let square = { try Square(threat: try ThreatModel(epsilon: 0.02), seed: 7, queries: 80).perturb(problem.model, $0) }
    var batch = problem.batch()
    let plain = try square(batch)
    batch.images = batch.images.contiguous(.channelsLast)
    let other = try square(batch)
    #expect(plain.findings == other.findings)
    #expect(plain.images.isClose(to: other.images, relative: 0, absolute: 0))
  }

  @Test func proposalsThatChangeNothingCostNothing() throws {
    // Two pixels a channel: half of all proposals repeat what is there.
    let problem = LinearOracle([4, 1, 2, 2], classes: 2, seed: 6)
    let square = Square(threat: try ThreatModel(epsilon: 1e-4), seed: 1, queries: 400)
    let model = problem.model
    let result = try square.perturb(model, problem.batch())
    #expect(result.findings.allSatisfy { $0 == nil })
    #expect(square.cost.forward == model.asked)
    #expect(square.cost.forward < 4 * 320, "\(square.cost.forward)")
    #expect(square.cost.backward == 0)
  }

  @Test func hitsThatAreNotConfirmedAreNotFindings() throws {
    let problem = LinearOracle(seed: 3)
    let network = problem.model
    /// Answers wrong on everything, but denies it when asked again.
    final class Doubtful: Classifier {
      var execution = Execution()
      var isExact: Bool { false }
      let real: FunctionClassifier
      init(_ real: FunctionClassifier) { self.real = real }
      func logits(_ images: Tensor) throws(TorchError) -> Tensor { -(try real.logits(images)) }
      func confirmedLogits(_ images: Tensor) throws(TorchError) -> Tensor { try real.logits(images) }
      func move(to device: Device) {}
    }
    let result = try Square(threat: try ThreatModel(epsilon: 1e-4), seed: 1, queries: 30).perturb(
      Doubtful(network), problem.batch())
    #expect(result.findings.allSatisfy { $0 == nil })
  }

  @Test(arguments: [[3, 1, 1, 1], [3, 2, 1, 7], [2, 3, 5, 12], [2, 1, 12, 5]], [Norm.linf, .l2, .l1])
  func oddShapesAreSearchedToo(shape: [Int], norm: Norm) throws {
    let problem = LinearOracle(shape, classes: 3, seed: 8)
    let threat = try ThreatModel(norm: norm, epsilon: 0.2)
    let result = try Square(threat: threat, seed: 1, queries: 40).perturb(problem.model, problem.batch())
    #expect(threat.size(from: problem.images, to: result.images).max().item() <= threat.tolerance)
    #expect(result.images.isFinite().all().item() == 1)
  }

  @Test func nothingIsDecidedByOutputsThatAreNoNumbers() throws {
    let problem = LinearOracle([3, 1, 4, 4], seed: 9)
    let model = FunctionClassifier { Tensor.full([$0.size(0), 5], Double.nan) }
    let result = try Square(threat: try ThreatModel(epsilon: 0.1), seed: 1, queries: 10).perturb(model, problem.batch())
    #expect(result.images.isFinite().all().item() == 1)
    let constant = FunctionClassifier { Tensor.zeros([$0.size(0), 5]) }
    var batch = problem.batch()
    batch.labels = Tensor.zeros([3], dtype: .int64)
    #expect(
      try Square(threat: try ThreatModel(epsilon: 0.1), seed: 1, queries: 10).perturb(constant, batch).findings.allSatisfy {
        $0 == nil
      })
  }
}
