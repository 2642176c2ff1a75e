import Foundation
import SwiftTorch
import Testing

@testable import SAT

@Suite struct EigenSolverTests {
  private let spectrum = [-9.0, -2, -1, 0, 0.5, 1, 1.5, 2, 3, 7] + (0..<30).map { Double($0) / 40 }

  private func residual(_ matrix: DenseMatrix, _ pair: EigenPair) -> Double {
    (matrix.product(pair.vector) - pair.vector * pair.value).norm().item() / abs(pair.value)
  }

  @Test func thePowerMethodFindsTheLargestWithTheirSigns() throws {
    let matrix = DenseMatrix(eigenvalues: spectrum)
    let method = PowerMethod(tolerance: 1e-14, residualTolerance: 1e-6, maximumIterations: 500)
    let pairs = try method.eigenvalues(of: matrix, count: 3, generator: Generator(seed: 1))
    #expect(pairs.count == 3)
    for (pair, expected) in zip(pairs, [-9.0, 7, 3]) {
      #expect(pair.isConverged)
      #expect(abs(pair.value - expected) <= 1e-8)
      #expect(abs(pair.vector.norm().item() - 1) <= 1e-10)
      #expect(abs(residual(matrix, pair) - pair.residual) <= 1e-12)
      #expect(pair.residual <= 1e-6)
      #expect(pair.iterations < 500)
    }
  }

  @Test func thePowerMethodSaysWhenItDidNotConverge() throws {
    // Opposite eigenvalues of equal magnitude prevent convergence.
    let matrix = DenseMatrix(eigenvalues: [5, -5, 1, 0.5, 0])
    let method = PowerMethod(maximumIterations: 60)
    let pair = try method.eigenvalues(of: matrix, generator: Generator(seed: 1))[0]
    #expect(!pair.isConverged)
    #expect(pair.iterations == 60)
    #expect(pair.residual > 1e-2)
    let pairs = try Lanczos(tolerance: 1e-8).eigenvalues(of: matrix, count: 2, generator: Generator(seed: 1))
    #expect(Set(pairs.map { $0.value.rounded() }) == [5, -5])
    #expect(pairs.allSatisfy { $0.isConverged && abs(abs($0.value) - 5) <= 1e-10 })
  }

  /// Errors of earlier vectors remain in the residuals of later ones, and only the Rayleigh–Ritz step removes them.
  @Test(arguments: [[100.0, 92, 85, 79, 74, 1], [100, 12, -6, 2, 1, 0.5]])
  func laterEigenvaluesConvergeToo(spectrum: [Double]) throws {
    let matrix = DenseMatrix(eigenvalues: spectrum)
    let method = PowerMethod(tolerance: 1e-2, residualTolerance: 1e-2)
    for seed in 0..<8 {
      let pairs = try method.eigenvalues(of: matrix, count: 4, generator: Generator(seed: UInt64(seed)))
      for pair in pairs {
        #expect(pair.isConverged && residual(matrix, pair) <= 1e-2 && abs(residual(matrix, pair) - pair.residual) <= 1e-10)
        #expect(spectrum.contains { abs($0 - pair.value) <= 1e-2 * abs($0) }, "\(pair.value)")
      }
      let vectors = Tensor.stacked(pairs.map(\.vector))
      let overlap: Double = (vectors.matmul(vectors.transposed(0, 1)) - Tensor.eye(4, dtype: .float64)).abs().max().item()
      #expect(overlap <= 1e-10)
    }
  }

  @Test func convergedIsWithinTheTolerance() throws {
    let matrix = DenseMatrix(eigenvalues: [100, 92, 85, 79, 74, 1])
    let method = PowerMethod(tolerance: 1e-2, residualTolerance: 1e-2, maximumIterations: 25)
    let pairs = try (0..<8).flatMap { try method.eigenvalues(of: matrix, count: 4, generator: Generator(seed: $0)) }
    for pair in pairs { #expect(pair.isConverged == (residual(matrix, pair) <= 1e-2)) }
    #expect(pairs.contains { $0.isConverged } && pairs.contains { !$0.isConverged })
  }

  @Test func theZeroMatrixHasEigenvalueZero() throws {
    let matrix = DenseMatrix(Tensor.zeros([4, 4], dtype: .float64))
    let pairs =
      try PowerMethod().eigenvalues(of: matrix, count: 2, generator: Generator(seed: 0))
      + Lanczos().eigenvalues(of: matrix, count: 2, generator: Generator(seed: 0))
    #expect(pairs.count == 4)
    #expect(pairs.allSatisfy { $0.value == 0 && $0.residual == 0 && $0.isConverged })
  }

  @Test(arguments: Lanczos.End.allCases)
  func lanczosFindsBothEnds(end: Lanczos.End) throws {
    let matrix = DenseMatrix(eigenvalues: spectrum)
    let expected = [Lanczos.End.magnitude: [-9.0, 7, 3, 2], .largest: [7.0, 3, 2, 1.5], .smallest: [-9.0, -2, -1, 0]][end]!
    let pairs = try Lanczos(tolerance: 1e-7).eigenvalues(of: matrix, count: 4, end: end, generator: Generator(seed: 1))
    // -2 and 2 have the same magnitude.
    let actual = pairs.map { end == .magnitude ? ($0.value == pairs[3].value ? abs($0.value) : $0.value) : $0.value }
    for (value, expected) in zip(actual, expected) { #expect(abs(value - expected) <= 1e-8, "\(end)") }
    for pair in pairs where abs(pair.value) > 1e-3 {
      #expect(pair.isConverged)
      #expect(residual(matrix, pair) <= 1e-6)
      #expect(pair.iterations <= 40)
    }
  }

  @Test func lanczosFindsMultipleEigenvalues() throws {
    let matrix = DenseMatrix(eigenvalues: [4, 4, 4, 1, 1, 0, 0, 0])
    let pairs = try Lanczos(tolerance: 1e-9).eigenvalues(of: matrix, count: 8, generator: Generator(seed: 2))
    for (pair, expected) in zip(pairs, [4.0, 4, 4, 1, 1, 0, 0, 0]) { #expect(abs(pair.value - expected) <= 1e-9) }
  }

  @Test func theTraceIsWithinItsError() throws {
    let matrix = DenseMatrix(eigenvalues: spectrum)
    let exact = spectrum.reduce(0, +)
    let estimate = try HutchinsonTrace.estimate(of: matrix, probes: 400, generator: Generator(seed: 3))
    #expect(abs(estimate.mean - exact) <= 3 * estimate.standardError)
    // With random signs the variance of one probe is 2 Σ_{i≠j} H_ij².
    let off = matrix.matrix.square().sum().item() - (matrix.matrix * Tensor.eye(40, dtype: .float64)).square().sum().item()
    let predicted = (2 * off / 400).squareRoot()
    #expect(abs(estimate.standardError - predicted) <= 0.15 * predicted)
    #expect(estimate.probes == 400)
  }

  @Test func theTraceOfADiagonalMatrixIsExact() throws {
    let matrix = DenseMatrix(Tensor.eye(5, dtype: .float64) * 2.0)
    let estimate = try HutchinsonTrace.estimate(of: matrix, probes: 2, generator: Generator(seed: 3))
    #expect(abs(estimate.mean - 10) <= 1e-12 && estimate.standardError <= 1e-12)
  }

  @Test func theDensityIsTheSmoothedHistogram() throws {
    let matrix = DenseMatrix(eigenvalues: spectrum)
    let width = 0.4
    // With as many steps as the size, every probe finds all eigenvalues; only their weights are random.
    let density = try SpectralDensity.estimate(
      of: matrix, probes: 200, steps: 40, width: width, points: 801, generator: Generator(seed: 4))
    let spacing = density.grid[1] - density.grid[0]
    let integral = spacing * (density.values.reduce(0, +) - (density.values.first! + density.values.last!) / 2)
    #expect(abs(integral - 1) <= 1e-12)
    #expect(density.grid.first! <= -9 - 4.9 * width && density.grid.last! >= 7 + 4.9 * width)
    let exact = SpectralDensity(nodes: spectrum.map { ($0, 1 / 40) }, width: width, points: 801)
    #expect(zip(density.grid, exact.grid).allSatisfy { abs($0 - $1) <= 1e-9 })
    // A weight is a squared coordinate of a random direction, with mean 1/40 and deviation √2/40; 200 probes give a tenth of that.
    let peak = exact.values.max()!
    let largest = zip(density.values, exact.values).map { abs($0 - $1) }.max()!
    #expect(largest <= 0.06 * peak, "\(largest) of \(peak)")
  }

  @Test func aGaussianNodeHasItsDensity() {
    let density = SpectralDensity(nodes: [(2, 1)], width: 0.5, points: 1001)
    let middle = density.values[500]
    #expect(abs(density.grid[500] - 2) <= 1e-12)
    #expect(abs(middle - 1 / (0.5 * (2 * Double.pi).squareRoot())) <= 1e-5 * middle)
  }
}

@Suite struct SpearmanTests {
  @Test func ranksOfTiesAreAveraged() {
    #expect(Spearman.ranks([10, 30, 20, 20, 5]) == [2, 5, 3.5, 3.5, 1])
    #expect(Spearman.ranks([1, 1, 1]) == [2, 2, 2])
    #expect(Spearman.ranks([]) == [])
  }

  @Test func correlations() {
    #expect(Spearman.correlation([1, 2, 3, 4], [10, 100, 1000, 10000]) == 1)
    #expect(Spearman.correlation([1, 2, 3, 4], [4, 3, 2, 1]) == -1)
    // Without ties the value is 1 - 6 Σ d² / (n (n² - 1)): ranks (1 … 5) and (2, 1, 4, 3, 5), Σ d² = 4.
    #expect(abs(Spearman.correlation([1, 2, 3, 4, 5], [20, 10, 40, 30, 50]) - 0.8) <= 1e-15)
    // scipy.stats.spearmanr([1, 2, 2, 3, 5], [1, 2, 3, 3, 3]): ranks (1, 2.5, 2.5, 4, 5) and (1, 2, 4, 4, 4), 7 / √(9.5 · 8).
    #expect(abs(Spearman.correlation([1, 2, 2, 3, 5], [1, 2, 3, 3, 3]) - 7 / (9.5 * 8).squareRoot()) <= 1e-15)
  }

  @Test func constantsHaveNoCorrelation() {
    #expect(Spearman.correlation([1, 1, 1], [1, 2, 3]).isNaN)
    #expect(Spearman.correlation([1, 2, 3], [7, 7, 7]).isNaN)
    #expect(Spearman.correlation([1], [2]).isNaN)
    #expect(Spearman.correlation([1, .nan, 3], [1, 2, 3]).isNaN)
  }

  @Test func theIntervalHoldsTheCorrelationInNineteenOfTwenty() throws {
    let (count, trials) = (60, 1000)
    for rho in [0.0, 0.7] {
      // The true Spearman correlation of normal variables with the correlation rho.
      let truth = 6 / Double.pi * asin(rho / 2)
      let a = Tensor.randn([trials, count], generator: Generator(seed: 1), dtype: .float64)
      let b =
        a * rho + Tensor.randn([trials, count], generator: Generator(seed: 2), dtype: .float64) * (1 - rho * rho).squareRoot()
      let held = try (0..<trials).count { trial in
        let found = Spearman.correlation(a[trial].array(of: Double.self), b[trial].array(of: Double.self))
        return try #require(Spearman.interval(found, count: count)).contains(truth)
      }
      #expect(abs(Double(held) / Double(trials) - 0.95) < 0.02, "\(held) of \(trials) at \(rho)")
    }
    #expect(
      Spearman.interval(1, count: 9) == nil && Spearman.interval(0.5, count: 3) == nil && Spearman.interval(.nan, count: 9) == nil)
  }
}
