public import SwiftTorch

/// P-SAT's difficulty: a sample is hard enough once its probability gap psi_P exceeds lambda (Eq. 12 and Algorithm 1).
///
/// The gap of the current iterate is psi_P = max_{j≠y} p_j − p_y, in [-1, 1]. At lambda = 1 no sample finishes and training equals
/// AT bit for bit. At lambda = 0 a sample finishes as soon as it is misclassified. Below -1 every sample stays at its random start.
public struct ProbabilityGap: Curriculum {
  public let lambda: Double

  public init(lambda: Double) { self.lambda = lambda }

  public func finished(_ step: InnerStep) -> Tensor? {
    if lambda >= 1 { return nil }
    return Self.gap(step.logits, step.labels).greater(than: lambda)
  }

  /// Returns psi_P [n] from logits [n, C] and labels [n].
  public static func gap(_ logits: Tensor, _ labels: Tensor) -> Tensor {
    let probabilities = logits.softmax(dim: 1)
    return probabilities.largestOther(than: labels) - probabilities.entries(at: labels)
  }
}
