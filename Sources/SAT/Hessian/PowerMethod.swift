public import SwiftTorch

/// The power method (paper, Section 5; LeCun et al. 1992) for the eigenvalues of largest magnitude, one after another.
///
/// An eigenvalue keeps its sign: λ is the Rayleigh quotient vᵀHv. The method deflates the pairs it has found, H − Σ λ v vᵀ, and keeps
/// them out of the iterates. A vector is known to a tolerance only, so it leaves a trace in the products of later vectors, however long
/// these are iterated. Therefore all vectors found are mixed: the pairs are those of the matrix in the space of the vectors
/// (Rayleigh–Ritz), which takes no more products. Two eigenvalues of nearly the same magnitude make the method slow. Opposite
/// eigenvalues of the same magnitude make it fail to converge, and `isConverged` and `residual` say so; `Lanczos` minds neither.
public struct PowerMethod: Sendable {
  /// Largest relative change of λ in the last iteration.
  public var tolerance: Double
  /// Largest ‖Hv − λv‖ / |λ|.
  public var residualTolerance: Double
  /// Products at most, per eigenvalue.
  public var maximumIterations: Int

  public init(tolerance: Double = 1e-4, residualTolerance: Double = 1e-2, maximumIterations: Int = 200) {
    self.tolerance = tolerance
    self.residualTolerance = residualTolerance
    self.maximumIterations = maximumIterations
  }

  /// - Parameters:
  ///   - count: how many eigenvalues, by falling magnitude; at most the operator's size.
  ///   - generator: a CPU generator; draws the starts.
  ///   - progress: hears of the eigenvalue's number, the iteration, and λ.
  public func eigenvalues(
    of matrix: some SymmetricOperator, count: Int = 1, generator: Generator,
    progress: (_ index: Int, _ iteration: Int, _ value: Double) -> Void = { _, _, _ in }
  ) throws(TorchError) -> [EigenPair] {
    var found: [Found] = []
    let wanted = min(count, matrix.size)
    // Mixing the vectors adds errors of the others, which may take up half of the tolerance.
    let share = wanted > 1 ? residualTolerance / 2 : residualTolerance
    for index in 0..<wanted {
      found.append(try next(matrix, found.map(\.pair), share, generator) { progress(index, $0, $1) })
      found = ritzPairs(of: found)
    }
    return found.map(\.pair).sorted { abs($0.value) > abs($1.value) }
  }

  private struct Found {
    var pair: EigenPair
    /// Hv.
    var product: Tensor
  }

  /// The Ritz pairs: those of the matrix in the space of the vectors found.
  private func ritzPairs(of found: [Found]) -> [Found] {
    guard found.count > 1, found.allSatisfy({ $0.pair.value != 0 && $0.pair.residual.isFinite }) else { return found }
    let ranked = found.sorted { abs($0.pair.value) > abs($1.pair.value) }
    let (vectors, products) = (Tensor.stacked(ranked.map(\.pair.vector)), Tensor.stacked(ranked.map(\.product)))
    let seen = products.matmul(vectors.transposed(0, 1)).to(.cpu).to(.float64)
    let (values, columns) = ((seen + seen.transposed(0, 1)) / 2).eigh()
    let mixing = columns.transposed(0, 1).to(vectors.dtype).to(vectors.device)
    let (mixedVectors, mixedProducts) = (mixing.matmul(vectors), mixing.matmul(products))
    let order = values.array(of: Double.self).enumerated().sorted { abs($0.element) > abs($1.element) }
    return zip(ranked, order).map { old, new in
      var result = old
      let length = mixedVectors[new.offset].norm()
      (result.pair.value, result.pair.vector) = (new.element, mixedVectors[new.offset] / length)
      result.product = mixedProducts[new.offset] / length
      result.pair.residual = result.product.adding(result.pair.vector, alpha: -new.element).norm().item() / abs(new.element)
      result.pair.isConverged = result.pair.residual <= residualTolerance
      return result
    }
  }

  /// - Parameter limit: of the residual in what is left of the matrix without those found.
  private func next(
    _ matrix: some SymmetricOperator, _ found: [EigenPair], _ limit: Double, _ generator: Generator, _ progress: (Int, Double) -> Void
  ) throws(TorchError) -> Found {
    var vector = Self.orthogonal(matrix.randomDirection(generator), to: found)
    vector = vector / vector.norm()
    var pair = EigenPair(value: 0, vector: vector, residual: .infinity, iterations: 0, isConverged: false)
    var product = vector
    while pair.iterations < maximumIterations {
      let before = pair.value
      // Without what was found, of which rounding and an unconverged vector leave a trace that would grow again.
      product = try matrix.product(vector)
      let image = Self.orthogonal(product, to: found)
      pair.iterations += 1
      pair.vector = vector
      pair.value = vector.dot(image).item()
      let size = image.norm().item()
      progress(pair.iterations, pair.value)
      guard size > 0, size.isFinite else {
        pair.residual = size == 0 ? 0 : .infinity
        pair.isConverged = size == 0
        return Found(pair: pair, product: product)
      }
      // Of the matrix itself, and of what is left of it: the traces of others' errors cannot be iterated away.
      pair.residual = product.adding(vector, alpha: -pair.value).norm().item() / abs(pair.value)
      let remaining = found.isEmpty ? pair.residual : image.adding(vector, alpha: -pair.value).norm().item() / abs(pair.value)
      if abs(pair.value - before) <= tolerance * abs(pair.value), remaining <= limit {
        pair.isConverged = true
        return Found(pair: pair, product: product)
      }
      vector = image / size
    }
    return Found(pair: pair, product: product)
  }

  private static func orthogonal(_ vector: Tensor, to found: [EigenPair]) -> Tensor {
    found.reduce(vector) { $0.adding($1.vector, alpha: -$1.vector.dot($0).item()) }
  }
}
