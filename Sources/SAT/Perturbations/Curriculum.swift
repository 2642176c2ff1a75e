public import SwiftTorch

/// The rule that fits the inner maximisation of adversarial training to a difficulty lambda (Eq. 10 of the paper).
///
/// The requirements are the mechanisms of Table 4: radii, numbers of steps, a subset for each step, and an early end for a sample.
/// Their defaults change nothing. One curriculum serves one batch, so it may keep state from step to step.
public protocol Curriculum {
  /// The largest perturbation of each sample [N]; nil for the threat model's epsilon. IAAT, CAT20 and the epsilon schedule use it.
  var radii: Tensor? { get }

  /// The step length of each sample [N]; nil for the maximiser's step length.
  var stepSizes: Tensor? { get }

  /// The largest number of steps of each sample, int64 [N]; nil for the maximiser's number. CAT18 uses it.
  var stepCounts: Tensor? { get }

  /// Chooses, before the forward pass, the active samples that this step moves; nil for all. The others stay active. H-SAT uses it.
  func chosen(_ samples: InnerSamples) throws(TorchError) -> Choice?

  /// Marks, before they move, the samples that are hard enough, as a bool tensor [n]; nil when no sample can be.
  ///
  /// A marked sample keeps its iterate for good. P-SAT, DAT and FAT use it.
  func finished(_ step: InnerStep) throws(TorchError) -> Tensor?
}

extension Curriculum {
  public var radii: Tensor? { nil }
  public var stepSizes: Tensor? { nil }
  public var stepCounts: Tensor? { nil }
  public func chosen(_ samples: InnerSamples) throws(TorchError) -> Choice? { nil }
  public func finished(_ step: InnerStep) throws(TorchError) -> Tensor? { nil }
}

/// The samples that one step moves.
public struct Choice {
  /// Positions of the samples among the active samples, int64.
  public var positions: Tensor
  /// The gradients of the cross-entropy, [n, C, H, W], which save the forward pass and the call of `finished`; nil if not known.
  public var gradient: Tensor?

  public init(positions: Tensor, gradient: Tensor? = nil) {
    self.positions = positions
    self.gradient = gradient
  }
}

/// The curriculum that moves every sample at every step, as in plain adversarial training (Madry et al. 2018).
public struct FullStrength: Curriculum { public init() {} }

/// A curriculum with fixed radii, step lengths and numbers of steps per sample (IAAT, CAT20, CAT18).
public struct SampleLimits: Curriculum {
  public var radii: Tensor?
  public var stepSizes: Tensor?
  public var stepCounts: Tensor?

  public init(radii: Tensor? = nil, stepSizes: Tensor? = nil, stepCounts: Tensor? = nil) {
    self.radii = radii
    self.stepSizes = stepSizes
    self.stepCounts = stepCounts
  }
}
