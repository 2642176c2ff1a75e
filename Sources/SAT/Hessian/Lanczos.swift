public import SwiftTorch

/// The Lanczos process, which finds both ends of the spectrum from few products. It stores steps · size numbers.
public struct Lanczos: Sendable {
  /// The largest accepted ‖Hv − λv‖ / |λ|.
  public var tolerance: Double
  /// The largest number of products.
  public var maximumSteps: Int

  public init(tolerance: Double = 1e-3, maximumSteps: Int = 100) {
    self.tolerance = tolerance
    self.maximumSteps = maximumSteps
  }

  /// The end of the spectrum to search.
  public enum End: String, Sendable, CaseIterable {
    /// The eigenvalues of largest magnitude.
    case magnitude
    case largest
    case smallest
  }

  /// Returns up to `count` extreme eigenvalues, in order from the wanted end; a CPU generator draws the starting vector.
  public func eigenvalues(
    of matrix: some SymmetricOperator, count: Int = 1, end: End = .magnitude, generator: Generator,
    progress: (_ step: Int, _ value: Double) -> Void = { _, _ in }
  ) throws(TorchError) -> [EigenPair] {
    let wanted = min(count, matrix.size)
    var process = LanczosProcess(matrix, start: matrix.randomDirection(generator), capacity: min(maximumSteps, matrix.size))
    var ritz: [RitzValue] = []
    while process.steps < process.capacity {
      try process.step(matrix, generator)
      ritz = Self.ordered(process.ritzValues(), end)
      progress(process.steps, ritz[0].value)
      if ritz.count >= wanted, ritz.prefix(wanted).allSatisfy({ isConverged($0, scale: abs(ritz[0].value)) }) { break }
    }
    return ritz.prefix(wanted).map { value in
      EigenPair(
        value: value.value, vector: process.vector(value), residual: value.value == 0 ? 0 : value.residual / abs(value.value),
        iterations: process.steps, isConverged: isConverged(value, scale: abs(ritz[0].value)))
    }
  }

  private func isConverged(_ ritz: RitzValue, scale: Double) -> Bool {
    // Rounding in the products limits eigenvalues that are tiny beside the largest, so their bound follows the largest.
    ritz.residual <= tolerance * max(abs(ritz.value), 1e-6 * scale)
  }

  private static func ordered(_ values: [RitzValue], _ end: End) -> [RitzValue] {
    values.sorted {
      switch end {
      case .magnitude: abs($0.value) > abs($1.value)
      case .largest: $0.value > $1.value
      case .smallest: $0.value < $1.value
      }
    }
  }
}

/// A Ritz value: an eigenvalue of the matrix restricted to the Krylov space.
struct RitzValue {
  var value: Double
  /// The residual ‖Hv − λv‖ of its vector.
  var residual: Double
  /// The coefficients of its vector in the basis: its eigenvector of T.
  var coefficients: [Double]
  /// Its weight in the quadrature of the start vector's spectral measure.
  var weight: Double { coefficients[0] * coefficients[0] }
}

/// The symmetric tridiagonal matrix T of a Lanczos process.
struct TridiagonalMatrix {
  var diagonal: [Double] = []
  /// The entries below the diagonal; the last one couples to the next vector and lies outside T.
  var offDiagonal: [Double] = []

  /// The entries of T row by row, with zeros above the diagonal, which `eigh` does not read.
  var entries: [Double] {
    let size = diagonal.count
    var entries = Array(repeating: 0.0, count: size * size)
    for i in 0..<size {
      entries[i * size + i] = diagonal[i]
      if i > 0 { entries[i * size + i - 1] = offDiagonal[i - 1] }
    }
    return entries
  }
}

/// One Lanczos process: H Q = Q T + β q eᵀ with orthonormal Q and tridiagonal T.
struct LanczosProcess {
  let capacity: Int
  /// The basis, [capacity + 1, size]; the rows up to `steps` are filled.
  private let basis: Tensor
  private var tridiagonal = TridiagonalMatrix()
  var steps: Int { tridiagonal.diagonal.count }

  init(_ matrix: some SymmetricOperator, start: Tensor, capacity: Int) {
    self.capacity = capacity
    basis = Tensor.empty([capacity + 1, matrix.size], dtype: matrix.dtype, device: matrix.device)
    basis[0].copyInPlace(from: start)
  }

  mutating func step(_ matrix: some SymmetricOperator, _ generator: Generator) throws(TorchError) {
    let current = basis[steps]
    let image = try matrix.product(current)
    tridiagonal.diagonal.append(current.dot(image).item())
    let scale = zip(tridiagonal.diagonal, tridiagonal.offDiagonal + [0]).reduce(0) { max($0, abs($1.0), $1.1) }
    let precision = matrix.dtype == .float64 ? 1e-14 : 1e-6
    let rest = orthogonalized(image)
    let length = rest.norm().item()
    // Otherwise the space is invariant.
    let grows = length > precision * scale * Double(matrix.size).squareRoot().squareRoot()
    tridiagonal.offDiagonal.append(grows ? length : 0)
    if grows {
      basis[steps].copyInPlace(from: rest / length)
    } else if steps < matrix.size {
      // A new random vector can add missing parts, such as a second vector of a multiple eigenvalue.
      let fresh = orthogonalized(matrix.randomDirection(generator))
      basis[steps].copyInPlace(from: fresh / fresh.norm())
    }
  }

  /// Subtracts the components along the basis, twice, because rounding of large components survives one subtraction.
  private func orthogonalized(_ vector: Tensor) -> Tensor {
    let rows = basis[0..<steps]
    let once = vector - rows.matmul(vector).matmul(rows)
    return once - rows.matmul(once).matmul(rows)
  }

  /// Returns the eigenvalues of T in rising order.
  func ritzValues() -> [RitzValue] {
    let (values, vectors) = Tensor(tridiagonal.entries, shape: [steps, steps]).eigh()
    let columns = vectors.transposed(0, 1).array(of: Double.self)
    return values.array(of: Double.self).enumerated().map { index, value in
      let coefficients = Array(columns[index * steps..<(index + 1) * steps])
      return RitzValue(
        value: value, residual: abs(tridiagonal.offDiagonal[steps - 1] * coefficients[steps - 1]), coefficients: coefficients)
    }
  }

  /// Returns the vector [size] of a Ritz value.
  func vector(_ ritz: RitzValue) -> Tensor {
    let sum = Tensor(ritz.coefficients).to(basis.dtype).to(basis.device).matmul(basis[0..<steps])
    return sum / sum.norm()
  }
}
