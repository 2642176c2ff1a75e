public import SwiftTorch

/// The power method (paper, Section 5; LeCun et al. 1992) for the eigenvalues of largest magnitude, one after another.
///
/// An eigenvalue keeps its sign: λ is the Rayleigh quotient vᵀHv. The method keeps the pairs it has found out of the iterates. The
/// error of each vector remains in the products of later ones, so the method solves the matrix in the space of all vectors found
/// (Rayleigh–Ritz), without further products. Two eigenvalues of nearly the same magnitude make the method slow. Opposite
/// eigenvalues of the same magnitude prevent convergence, as `isConverged` and `residual` report. `Lanczos` has neither problem.
public struct PowerMethod: Sendable {
  /// The largest accepted relative change of λ in the last iteration.
  public var tolerance: Double
  /// The largest accepted ‖Hv − λv‖ / |λ|.
  public var residualTolerance: Double
  /// The largest number of products per eigenvalue.
  public var maximumIterations: Int

  public init(tolerance: Double = 1e-4, residualTolerance: Double = 1e-2, maximumIterations: Int = 200) {
    self.tolerance = tolerance
    self.residualTolerance = residualTolerance
    self.maximumIterations = maximumIterations
  }

  /// Returns up to `count` eigenvalues, in falling order of magnitude; a CPU generator draws the starting vectors.
  public func eigenvalues(
    of matrix: some SymmetricOperator, count: Int = 1, generator: Generator,
    progress: (_ index: Int, _ iteration: Int, _ value: Double) -> Void = { _, _, _ in }
  ) throws(TorchError) -> [EigenPair] {
    var found: [Found] = []
    let wanted = min(count, matrix.size)
    // The Ritz step adds the errors of other vectors, so it gets half of the tolerance.
    let share = wanted > 1 ? residualTolerance / 2 : residualTolerance
    for index in 0..<wanted {
      found.append(try next(matrix, found.map(\.pair), share, generator) { progress(index, $0, $1) })
      found = ritzPairs(of: found)
    }
    return found.map(\.pair).sorted { abs($0.value) > abs($1.value) }
  }

  private struct Found {
    var pair: EigenPair
    /// The product Hv.
    var product: Tensor
  }

  /// Returns the Ritz pairs: the eigenpairs of the matrix in the space of the vectors found.
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
      result.pair.value = new.element
      result.pair.vector = mixedVectors[new.offset] / length
      result.product = mixedProducts[new.offset] / length
      result.pair.residual = result.product.adding(result.pair.vector, alpha: -new.element).norm().item() / abs(new.element)
      result.pair.isConverged = result.pair.residual <= residualTolerance
      return result
    }
  }

  /// Finds the next pair; `limit` is the largest accepted residual in the matrix without the pairs found.
  private func next(
    _ matrix: some SymmetricOperator, _ found: [EigenPair], _ limit: Double, _ generator: Generator,
    _ progress: (Int, Double) -> Void
  ) throws(TorchError) -> Found {
    var vector = Self.orthogonal(matrix.randomDirection(generator), to: found)
    vector = vector / vector.norm()
    var pair = EigenPair(value: 0, vector: vector, residual: .infinity, iterations: 0, isConverged: false)
    var product = vector
    while pair.iterations < maximumIterations {
      let before = pair.value
      // Rounding and unconverged vectors leave traces of the pairs found; they would grow again, so each iteration removes them.
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
        break
      }
      // `residual` is for the matrix itself, `remaining` for the rest: iterations cannot remove the errors of other vectors.
      pair.residual = product.adding(vector, alpha: -pair.value).norm().item() / abs(pair.value)
      let remaining = found.isEmpty ? pair.residual : image.adding(vector, alpha: -pair.value).norm().item() / abs(pair.value)
      if abs(pair.value - before) <= tolerance * abs(pair.value), remaining <= limit {
        pair.isConverged = true
        break
      }
      vector = image / size
    }
    return Found(pair: pair, product: product)
  }

  private static func orthogonal(_ vector: Tensor, to found: [EigenPair]) -> Tensor {
    found.reduce(vector) { $0.adding($1.vector, alpha: -$1.vector.dot($0).item()) }
  }
}
