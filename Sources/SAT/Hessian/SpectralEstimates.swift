public import SwiftTorch

/// An estimate of a matrix's trace: the mean of zᵀHz over vectors z of random signs (Hutchinson 1990).
public struct HutchinsonTrace: Codable, Sendable, Equatable {
  public var mean: Double
  /// The standard error of the mean: the standard deviation of the probes divided by the square root of their number.
  public var standardError: Double
  public var probes: Int

  /// Estimates the trace of a matrix with signs from a CPU generator; 2 probes are the fewest for which the error is defined.
  public static func estimate(
    of matrix: some SymmetricOperator, probes: Int = 30, generator: Generator, progress: (Double) -> Void = { _ in }
  ) throws(TorchError) -> HutchinsonTrace {
    precondition(probes >= 2, "HutchinsonTrace: \(probes) probes; expected at least 2")
    var samples: [Double] = []
    for _ in 0..<probes {
      let signs = Tensor.empty([matrix.size], dtype: matrix.dtype).bernoulliInPlace(0.5, generator: generator)
      let vector = (signs * 2.0 - 1.0).to(matrix.device)
      samples.append(vector.dot(try matrix.product(vector)).item())
      progress(Double(samples.count) / Double(probes))
    }
    let mean = samples.reduce(0, +) / Double(probes)
    let variance = samples.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(probes - 1)
    return HutchinsonTrace(mean: mean, standardError: (variance / Double(probes)).squareRoot(), probes: probes)
  }
}

/// A matrix's spectral density, smoothed by a Gaussian: stochastic Lanczos quadrature (Ghorbani et al. 2019; Yao et al. 2020).
public struct SpectralDensity: Codable, Sendable, Equatable {
  /// The grid's points, rising and evenly spaced.
  public var grid: [Double]
  /// The density at the grid's points; its integral over the grid, by the trapezoidal rule, is 1.
  public var values: [Double]
  /// The standard deviation of the Gaussian.
  public var width: Double
}

extension SpectralDensity {
  /// Estimates the density as the mean over `probes` random starting vectors from a CPU generator.
  ///
  /// Each probe takes `steps` Lanczos steps. A width of nil means a hundredth of the range of the eigenvalues. The grid of `points`
  /// reaches five widths past the extreme nodes.
  public static func estimate(
    of matrix: some SymmetricOperator, probes: Int = 4, steps: Int = 60, width: Double? = nil, points: Int = 1000,
    generator: Generator, progress: (Double) -> Void = { _ in }
  ) throws(TorchError) -> SpectralDensity {
    precondition(probes >= 1 && steps >= 1 && points >= 2, "SpectralDensity: \(probes) probes, \(steps) steps, \(points) points")
    let steps = min(steps, matrix.size)
    var nodes: [(value: Double, weight: Double)] = []
    for probe in 0..<probes {
      var process = LanczosProcess(matrix, start: matrix.randomDirection(generator), capacity: steps)
      while process.steps < steps {
        try process.step(matrix, generator)
        progress((Double(probe) + Double(process.steps) / Double(steps)) / Double(probes))
      }
      nodes += process.ritzValues().map { ($0.value, $0.weight / Double(probes)) }
    }
    return SpectralDensity(nodes: nodes, width: width, points: points)
  }

  /// Creates the density as a sum of Gaussians around weighted nodes.
  init(nodes: [(value: Double, weight: Double)], width: Double?, points: Int) {
    let values = nodes.map(\.value)
    let (low, high) = (values.min()!, values.max()!)
    // A single eigenvalue has the range 0, so the width needs a lower bound.
    let width = width ?? max((high - low) / 100, 1e-6 * max(abs(low), abs(high)), 1e-30)
    let (start, end) = (low - 5 * width, high + 5 * width)
    let spacing = (end - start) / Double(points - 1)
    let grid = (0..<points).map { start + Double($0) * spacing }
    let raw = Self.smoothed(nodes, width, at: grid)
    // The trapezoidal rule counts the end points half.
    let integral = spacing * (raw.reduce(0, +) - (raw[0] + raw[points - 1]) / 2)
    self.init(grid: grid, values: raw.map { $0 / integral }, width: width)
  }

  private static func smoothed(_ nodes: [(value: Double, weight: Double)], _ width: Double, at grid: [Double]) -> [Double] {
    let (centers, weights) = (Tensor(nodes.map(\.value)), Tensor(nodes.map(\.weight)))
    let distance = (Tensor(grid).unsqueezed(dim: 1) - centers) / width
    let peak = 1 / (width * (2 * Double.pi).squareRoot())
    return (((distance.square() * -0.5).exp() * peak).matmul(weights)).array(of: Double.self)
  }
}
