public import SwiftTorch

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

  /// Creates the rule.
  ///
  /// - Parameters:
  ///   - threshold: samples with c below it finish; 0 or less turns the rule off.
  ///   - alwaysSteps: true if every sample takes the first step, as in the official code.
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
