internal import Foundation
public import SwiftTorch

/// An estimate of a matrix's trace: the mean of zᵀHz over vectors z of random signs (Hutchinson 1990).
public struct HutchinsonTrace: Sendable, Equatable {
  public var mean: Double
  /// The standard error of the mean: the standard deviation of the probes divided by the square root of their number.
  public var standardError: Double
  public var probes: Int

  /// Estimates the trace of a matrix.
  ///
  /// - Parameters:
  ///   - probes: the number of random vectors, at least 2 so that the error is defined.
  ///   - generator: a CPU generator; it draws the signs.
  ///   - progress: called after each probe with the fraction done.
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
    return HutchinsonTrace(mean: mean, standardError: sqrt(variance / Double(probes)), probes: probes)
  }
}
