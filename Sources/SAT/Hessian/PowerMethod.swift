public import SwiftTorch

/// The power method (paper, Section 5; LeCun et al. 1992) for the eigenvalues of largest magnitude, one after another.
///
/// An eigenvalue keeps its sign: λ is the Rayleigh quotient vᵀHv. Those found before are deflated, H − Σ λ v vᵀ, and kept out of
/// the iterates. Two eigenvalues of nearly the same magnitude make it slow, opposite ones of the same magnitude make it fail to
/// converge, which `isConverged` and `residual` then say; `Lanczos` minds neither.
public struct PowerMethod: Sendable {
  /// Largest relative change of λ in the last iteration.
  public var tolerance: Double
  /// Largest ‖Hv − λv‖ / |λ|.
  public var residualTolerance: Double
  /// Products at most, per eigenvalue.
  public var maximumIterations: Int

  public init(tolerance: Double = 1e-4, residualTolerance: Double = 1e-2, maximumIterations: Int = 200) {
    (self.tolerance, self.residualTolerance, self.maximumIterations) = (tolerance, residualTolerance, maximumIterations)
  }

  /// - Parameters:
  ///   - count: how many eigenvalues, by falling magnitude; at most the operator's size.
  ///   - generator: a CPU generator; draws the starts.
  ///   - progress: hears of the eigenvalue's number, the iteration, and λ.
  public func eigenvalues(
    of matrix: some SymmetricOperator, count: Int = 1, generator: Generator,
    progress: (_ index: Int, _ iteration: Int, _ value: Double) -> Void = { _, _, _ in }
  ) throws(TorchError) -> [EigenPair] {
    var found: [EigenPair] = []
    for index in 0..<min(count, matrix.size) {
      found.append(try next(matrix, found, generator) { progress(index, $0, $1) })
    }
    return found.sorted { abs($0.value) > abs($1.value) }
  }

  private func next(
    _ matrix: some SymmetricOperator, _ found: [EigenPair], _ generator: Generator, _ progress: (Int, Double) -> Void
  ) throws(TorchError) -> EigenPair {
    var vector = Self.orthogonal(matrix.randomDirection(generator), to: found)
    vector = vector / vector.norm()
    var pair = EigenPair(value: 0, vector: vector, residual: .infinity, iterations: 0, isConverged: false)
    while pair.iterations < maximumIterations {
      let before = pair.value
      // Without what was found, of which rounding and an unconverged vector leave a trace that would grow again.
      let product = try matrix.product(vector)
      let image = Self.orthogonal(product, to: found)
      pair.iterations += 1
      pair.vector = vector
      pair.value = vector.dot(image).item()
      let size = image.norm().item()
      progress(pair.iterations, pair.value)
      guard size > 0, size.isFinite else {
        pair.residual = size == 0 ? 0 : .infinity
        pair.isConverged = size == 0
        return pair
      }
      // Of the matrix itself, and of what is left of it: the traces of others' errors cannot be iterated away, so that the first may
      // stay above the tolerance when the second has met it.
      pair.residual = product.adding(vector, alpha: -pair.value).norm().item() / abs(pair.value)
      let remaining = found.isEmpty ? pair.residual : image.adding(vector, alpha: -pair.value).norm().item() / abs(pair.value)
      if abs(pair.value - before) <= tolerance * abs(pair.value), remaining <= residualTolerance {
        pair.isConverged = pair.residual <= residualTolerance
        return pair
      }
      vector = image / size
    }
    return pair
  }

  private static func orthogonal(_ vector: Tensor, to found: [EigenPair]) -> Tensor {
    found.reduce(vector) { $0.adding($1.vector, alpha: -$1.vector.dot($0).item()) }
  }
}
