public import SwiftTorch

/// DAT's difficulty: a sample is hard enough once the first-order stationary condition of its iterate,
/// c(x) = eps · ‖∇ℓ‖₁ − ⟨x − x⁰, ∇ℓ⟩ ≥ 0 (the dual norm of other balls), falls below a threshold (Wang et al. 2019; Table 4, where lambda = −threshold).
///
/// The gradients are those of each sample's own loss. At threshold 0 no sample ever finishes and training is AT bit for bit: c is
/// 0 only where every coordinate is at its bound, and a step changes nothing there.
public final class FirstOrderConvergence: Curriculum {
  /// What x⁰ is.
  public enum Displacement: String, Sendable, CaseIterable {
    /// The image itself, as in the paper.
    case clean
    /// The point after the random start, as in the official code; c may be negative then.
    case start
  }

  private let threat: ThreatModel
  private let threshold: Double
  private let displacement: Displacement
  private let alwaysSteps: Bool
  private var origin: Tensor?

  /// - Parameter alwaysSteps: whether the first step is taken unasked, as in the official code.
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

  /// c [n] of displacements and gradients [n, …].
  public static func condition(_ threat: ThreatModel, _ displacement: Tensor, _ gradient: Tensor) -> Tensor {
    gradient.norms(threat.norm.dual) * threat.epsilon - (displacement.flattened(from: 1) * gradient.flattened(from: 1)).sum(dim: 1)
  }
}
