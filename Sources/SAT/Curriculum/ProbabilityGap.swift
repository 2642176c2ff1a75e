public import SwiftTorch

/// P-SAT's difficulty: a sample is hard enough once the gap of probabilities
/// psi_P = max_{j≠y} p_j − p_y of its current iterate exceeds lambda (Eq. 12 and Algorithm 1).
///
/// Psi lies in [-1, 1]: at lambda = 1 no sample ever finishes and training is AT bit for bit; at lambda = 0 a sample finishes as soon
/// as it is misclassified; below -1 every sample stays at its random start.
public struct ProbabilityGap: Curriculum {
  public let lambda: Double

  public init(lambda: Double) { self.lambda = lambda }

  public func finished(_ step: InnerStep) -> Tensor? {
    if lambda >= 1 { return nil }
    return Self.gap(step.logits, step.labels).greater(than: lambda)
  }

  /// psi_P [n] of logits [n, C] and labels [n].
  public static func gap(_ logits: Tensor, _ labels: Tensor) -> Tensor {
    let probabilities = logits.softmax(dim: 1)
    return probabilities.largestOther(than: labels) - probabilities.entries(at: labels)
  }
}
