import SwiftTorch
import Testing

@testable import SAT

/// A linear classifier: softmax regression, with a known Hessian.
private final class SoftmaxRegression: Module, Layer {
  let linear: Linear
  init(_ inputs: Int, _ classes: Int) {
    linear = Linear(inputs, classes, generator: Generator(seed: 4))
    super.init()
  }
  func callAsFunction(_ input: Tensor) -> Tensor { linear(input.flattened(from: 1)) }
}

@Suite struct CurvatureScoreTests {
  private func regression(classes: Int = 2, dtype: DType = .float64) -> NetworkClassifier {
    let module = SoftmaxRegression(9, classes)
    module.convert(to: dtype)
    return NetworkClassifier(module, architecture: Architecture(name: "mnist-cnn"), normalization: nil)
  }

  private func samples(_ n: Int, classes: Int, dtype: DType = .float64) -> (Tensor, Tensor) {
    (
      Tensor.rand([n, 1, 3, 3], generator: Generator(seed: 1), dtype: dtype),
      Tensor.randint(0..<classes, [n], generator: Generator(seed: 2))
    )
  }

  /// Returns λ_max(diag p − ppᵀ)·‖(x, 1)‖² for each sample; for two classes it is 2·p(1 − p)·‖(x, 1)‖².
  private func exact(_ network: NetworkClassifier, _ images: Tensor) throws -> [Double] {
    let p = try network.logits(images).softmax(dim: 1).detached()
    let lengths = (images.flattened(from: 1).square().sum(dim: 1) + 1).array(of: Double.self)
    return (0..<images.size(0)).map { i in
      let row = p[i].array(of: Double.self)
      // Runs the power method on a tiny matrix far past convergence.
      var v = row.indices.map { Double($0) + 1 }
      var length = 0.0
      for _ in 0..<5000 {
        let mean = zip(row, v).reduce(0) { $0 + $1.0 * $1.1 }
        v = row.indices.map { row[$0] * (v[$0] - mean) }
        length = v.reduce(0) { $0 + $1 * $1 }.squareRoot()
        v = v.map { $0 / length }
      }
      return length * lengths[i]
    }
  }

  @Test func theBinaryCaseIsLogisticRegression() throws {
    let network = regression()
    let (images, labels) = samples(6, classes: 2)
    let p = try network.logits(images).softmax(dim: 1)[.all, 0].array(of: Double.self)
    let lengths = (images.flattened(from: 1).square().sum(dim: 1) + 1).array(of: Double.self)
    let expected = zip(p, lengths).map { 2 * $0 * (1 - $0) * $1 }
    #expect(zip(try exact(network, images), expected).allSatisfy { abs($0 - $1) < 1e-9 * $1 })
    // The Hessian has rank 1 with the gradient in its range, so a chunk of one sample gives it exactly.
    for score in [CurvatureScore.central, .power] {
      let found = try score.scores(network, images, labels, chunk: 1).array(of: Double.self)
      #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 2e-3 * $1 }, "\(score): \(found), expected \(expected)")
    }
  }

  @Test func thePowerMethodFindsTheSpectralNorm() throws {
    let network = regression(classes: 5)
    let (images, labels) = samples(7, classes: 5)
    let found = try CurvatureScore.power.scores(network, images, labels).array(of: Double.self)
    let expected = try exact(network, images)
    #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 2e-2 * $1 }, "\(found), expected \(expected)")
    // A Rayleigh quotient of a positive matrix is at most its largest eigenvalue.
    let central = try CurvatureScore.central.scores(network, images, labels, chunk: 3).array(of: Double.self)
    #expect(zip(central, found).allSatisfy { $0 <= $1 * 1.01 && $0 > 0 })
  }

  /// Each estimate equals its formula from derivatives along the shared gradient, at a tiny alpha.
  @Test(arguments: [3, 4, 12])
  func estimatesHaveTheirLeadingTerms(chunk: Int) throws {
    let network = regression(classes: 3)
    let (images, labels) = samples(12, classes: 3)
    let weights = network.module.parameters.map(\.value)
    for start in stride(from: 0, to: 12, by: chunk) {
      let (x, y) = (images[start..<start + chunk], labels[start..<start + chunk])
      let mean = Tensor.gradient(of: try network.logits(x).crossEntropy(y), withRespectTo: weights)
      let s = Tensor.stacked(mean.map { $0.norm() }).norm().item()
      let alpha = max(0.01 * s, 1.2207e-4)
      func score(_ kind: CurvatureScore) throws -> [Double] { try kind.scores(network, x, y, chunk: chunk).array(of: Double.self) }
      let (central, upper, lower) = (try score(.central), try score(.fixedUpper), try score(.fixedLower))
      let (paperUpper, paperLower) = (try score(.paperUpper), try score(.paperLower))
      for i in 0..<chunk {
        let loss = try network.logits(x[i..<i + 1]).crossEntropy(y[i..<i + 1])
        let own = Tensor.gradient(of: loss, withRespectTo: weights, createGraph: true)
        let slope = zip(own, mean).map { ($0 * $1 / s).sum() }.reduce(Tensor(0.0)) { $0 + $1 }
        let second = Tensor.gradient(of: slope, withRespectTo: weights)
        let q = zip(second, mean).map { ($0 * $1 / s).sum().item() }.reduce(0, +)
        let (gradient, value) = (slope.item(), loss.item())
        #expect(abs(central[i] - q) <= 1e-3 * q + 1e-6)
        #expect(abs(upper[i] - (q + 2 * (gradient + s) / alpha)) <= 1e-2 * abs(upper[i]))
        #expect(abs(lower[i] - (q + 2 * abs(gradient - s) / alpha)) <= 2e-2 * abs(lower[i]) + 1e-2)
        let printedAlpha = 0.01 * s
        #expect(abs(paperUpper[i] - (value * (1 / printedAlpha - 1) + s + gradient + printedAlpha * q / 2)) <= 1e-4 * paperUpper[i])
        #expect(
          abs(paperLower[i] - (value * (1 / printedAlpha - 1) + abs(gradient - s) + printedAlpha * q / 2)) <= 1e-4 * paperLower[i])
      }
    }
  }

  /// The kept values of resting samples give the same scores and gradients as a full recomputation.
  @Test(arguments: [CurvatureScore.paperUpper, .central, .fixedLower, .loss, .power], [1, 4])
  func scoresAreThoseOfThePresentImages(score: CurvatureScore, chunk: Int) throws {
    let network = regression(classes: 4)
    let (start, labels) = samples(11, classes: 4)
    let batch = BatchCurvature(network, score, labels, chunk: chunk, imageGradients: true)
    var images = start
    // Samples start and stop moving; one chunk stays, one moves whole, and finally all move.
    let moves: [[Int]?] = [nil, [0, 1, 8], [1, 0, 8], [1, 2, 9], [], [2], [4, 5, 6, 7, 2], [3, 10], [0], nil, [4]]
    for (round, moved) in moves.enumerated() {
      let new = Tensor.rand(images.shape, generator: Generator(seed: UInt64(20 + round)), dtype: .float64)
      let rows = Tensor(moved ?? Array(0..<11))
      if rows.count > 0 { images = images.cloned().copyInPlace(from: new.selecting(rows), at: rows) }
      let found = try batch.scores(images, moved: moved)
      let expected = try score.scores(network, images, labels, chunk: chunk)
      expectClose(found, expected, absolute: 1e-6 * expected.abs().max().item(), relative: 0, "round \(round)")
      guard score != .power else { continue }
      let input = images.cloned().requireGrad()
      let gradient = Tensor.gradient(of: try network.logits(input).crossEntropy(labels, reduction: .sum), withRespectTo: input)
      expectClose(try #require(batch.imageGradients), gradient, absolute: 1e-12, relative: 1e-9, "round \(round)")
    }
  }

  @Test func aQuadraticIsExact() throws {
    // The cross-entropy of two logits ±t/2 at t = 0 is quadratic to third order. The error is its fourth
    // derivative times alpha²/12.
    let network = regression()
    withNoGrad { for parameter in network.module.parameters { parameter.value.zeroInPlace() } }
    let (images, labels) = samples(5, classes: 2)
    let lengths = (images.flattened(from: 1).square().sum(dim: 1) + 1).array(of: Double.self)
    let found = try CurvatureScore.central.scores(network, images, labels, chunk: 1).array(of: Double.self)
    for (score, length) in zip(found, lengths) {
      let (q, alpha) = (length / 2, 0.01 * (length / 2).squareRoot())
      // d⁴/dα⁴ of log(1 + e^t) at 0 is −1/8, and t moves by alpha·√(2·length).
      let expected = q - alpha * alpha / 12 * 4 * length * length / 8
      #expect(abs(score - expected) < 1e-5 * q, "\(score), expected \(expected)")
    }
  }

  @Test func thePrintedUpperBoundRanksByTheLoss() throws {
    // The leading term is ℓ/alpha, and all samples of a chunk have the same alpha.
    let network = regression(classes: 4)
    let (images, labels) = samples(24, classes: 4)
    let losses = try CurvatureScore.loss.scores(network, images, labels).array(of: Double.self)
    #expect(losses == (try network.logits(images).crossEntropy(labels, reduction: .none).array(of: Double.self)))
    let printed = try CurvatureScore.paperUpper.scores(network, images, labels).array(of: Double.self)
    #expect(Spearman.correlation(printed, losses) > 0.99)
  }

  @Test(arguments: CurvatureScore.allCases)
  func theWeightsComeBackBitForBit(score: CurvatureScore) throws {
    let network = try NetworkClassifier("mnist-cnn", seed: 3)
    let before = network.module.parameters.map { $0.value.detached().cloned() }
    let images = Tensor.rand([3, 1, 28, 28], generator: Generator(seed: 5))
    let scores = try score.scores(network, images, Tensor([1, 2, 3]), chunk: 2)
    #expect(scores.shape == [3] && scores.dtype == .float32 && scores.isFinite().all().item() == 1)
    #expect(zip(network.module.parameters, before).allSatisfy { $0.value.isEqual(to: $1) })
    #expect(network.module.parameters.allSatisfy { $0.value.grad == nil })
    #expect(network.module.isTraining)
  }

  @Test func withoutAGradientThereIsNoCurvatureToSee() throws {
    // The logits of two classes differ by 1000, so the gradient is exactly 0 in float32.
    let network = regression(dtype: .float32)
    withNoGrad {
      network.module.parameters[0].value.zeroInPlace()
      network.module.parameters[1].value.copyInPlace(from: Tensor([Float(1000), 0]))
    }
    let (images, _) = samples(4, classes: 2, dtype: .float32)
    for score in CurvatureScore.allCases {
      #expect(try score.scores(network, images, Tensor([0, 0, 0, 0])).isEqual(to: Tensor.zeros([4])), "\(score)")
    }
  }

  @Test func singlePrecisionRanksLikeDouble() throws {
    // Late in training the gradient is small, and a second difference at 1 % of it would be only rounding error.
    let (single, double) = (regression(classes: 4, dtype: .float32), regression(classes: 4))
    for network in [single, double] { _ = withNoGrad { network.module.parameters[0].value.multiplyInPlace(by: 20) } }
    let images = samples(24, classes: 4).0
    let labels = try double.logits(images).argmax(dim: 1)
    let a = try CurvatureScore.central.scores(single, images.to(.float32), labels, chunk: 6).array(of: Float.self).map(Double.init)
    let b = try CurvatureScore.central.scores(double, images, labels, chunk: 6).array(of: Double.self)
    let largest = b.max()!
    #expect(zip(a, b).allSatisfy { abs($0 - $1) < 0.01 * largest }, "\(a), expected \(b)")
  }
}
