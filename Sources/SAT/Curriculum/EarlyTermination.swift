public import SwiftTorch

// The rules that end the ascent of a sample.

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

/// DAT's difficulty (Wang et al. 2019): a sample is hard enough once its first-order stationary condition falls below a threshold.
///
/// The condition of an iterate x is c(x) = eps · ‖∇ℓ‖₁ − ⟨x − x⁰, ∇ℓ⟩ ≥ 0; balls other than L-inf use their dual norm. Table 4 has
/// lambda = −threshold. The gradient is that of the sample's own loss. At threshold 0 no sample finishes and training equals AT bit
/// for bit: c is 0 only if every coordinate is at its bound, and then a step changes nothing.
public final class FirstOrderConvergence: Curriculum {
  /// The point x⁰ from which the condition measures.
  public enum Displacement: String, Sendable, CaseIterable {
    /// The clean image, as in the paper.
    case clean
    /// The random starting point, as in the official code; c can then be negative.
    case start
  }

  private let threat: ThreatModel
  private let threshold: Double
  private let displacement: Displacement
  private let alwaysSteps: Bool
  private var origin: Tensor?

  /// Creates the rule; a threshold of 0 or less turns it off, and `alwaysSteps` makes every sample take the first step.
  public init(_ threat: ThreatModel, threshold: Double, displacement: Displacement = .clean, alwaysSteps: Bool = false) {
    self.threat = threat
    self.threshold = threshold
    self.displacement = displacement
    self.alwaysSteps = alwaysSteps
  }

  public func finished(_ step: InnerStep) throws(TorchError) -> Tensor? {
    if threshold <= 0 { return nil }
    if step.index == 0 { origin = step.samples.images }
    if step.index == 0 && alwaysSteps { return nil }
    let origin = displacement == .clean ? step.samples.clean : step.samples.rows(of: origin ?? step.samples.images)
    return Self.condition(threat, step.samples.images - origin, try step.gradient()).less(than: threshold)
  }

  /// Returns c [n] from displacements x − x⁰ and gradients, both [n, …].
  public static func condition(_ threat: ThreatModel, _ displacement: Tensor, _ gradient: Tensor) -> Tensor {
    gradient.norms(threat.norm.dual) * threat.epsilon - (displacement.flattened(from: 1) * gradient.flattened(from: 1)).sum(dim: 1)
  }
}

/// FAT's rule (Zhang et al. 2020): a misclassified sample takes `tolerance` more steps and then finishes; none at tolerance 0.
public final class MisclassificationCount: Curriculum {
  private let tolerance: Int
  // The number of steps that each sample of the batch may still take while misclassified.
  private var left: Tensor?

  public init(tolerance: Int) { self.tolerance = tolerance }

  public func finished(_ step: InnerStep) -> Tensor? {
    let wrong = step.logits.misclassifies(step.labels)
    if tolerance == 0 { return wrong }
    let whole = left ?? Tensor.full(step.labels.shape, tolerance, dtype: .int64, device: step.labels.device)
    let own = step.samples.rows(of: whole)
    let finished = wrong && own.equal(to: 0)
    let reduced = own - (wrong && !finished).to(.int64)
    left = step.samples.positions.map { whole.cloned().copyInPlace(from: reduced, at: $0) } ?? reduced
    return finished
  }
}
