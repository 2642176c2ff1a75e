public import SwiftTorch

/// Shapes the inner maximisation of adversarial training to a difficulty lambda (Eq. 10 of the paper).
///
/// The requirements are the mechanisms of Table 4: a method sets radii, numbers of steps, chooses a subset per step, or ends samples
/// for good. Those it leaves out change nothing. One curriculum serves one batch, so it may keep state from step to step.
public protocol Curriculum {
  /// How far each sample may be moved [N], in the threat model's norm; nil for the threat model's epsilon (IAAT, CAT20, epsilon
  /// schedule).
  var radii: Tensor? { get }

  /// Lengths of each sample's steps [N]; nil for the maximiser's.
  var stepSizes: Tensor? { get }

  /// How many steps each sample takes at most, int64 [N]; nil for the maximiser's number (CAT18).
  var stepCounts: Tensor? { get }

  /// Which of the active samples this step moves; nil for all. The others stay where they are and may be chosen again later
  /// (H-SAT). Asked before the forward pass.
  func chosen(_ samples: InnerSamples) throws(TorchError) -> Choice?

  /// Which of the step's samples are hard enough and stay where they are from now on, as a bool tensor [n]; nil when none can be
  /// (P-SAT, DAT, FAT). Asked after the forward pass, before the samples are moved.
  func finished(_ step: InnerStep) throws(TorchError) -> Tensor?
}

extension Curriculum {
  public var radii: Tensor? { nil }
  public var stepSizes: Tensor? { nil }
  public var stepCounts: Tensor? { nil }
  public func chosen(_ samples: InnerSamples) throws(TorchError) -> Choice? { nil }
  public func finished(_ step: InnerStep) throws(TorchError) -> Tensor? { nil }
}

/// The samples of one step.
public struct Choice {
  /// Where they are among the active samples, int64.
  public var positions: Tensor
  /// The gradients of the cross-entropy with respect to their images [n, C, H, W], where making the choice found them: the step
  /// then needs no pass of its own, and `finished` is not asked. Nil otherwise.
  public var gradient: Tensor?

  public init(positions: Tensor, gradient: Tensor? = nil) {
    self.positions = positions
    self.gradient = gradient
  }
}

/// No curriculum: every sample is moved at every step, as in plain adversarial training (Madry et al. 2018).
public struct FullStrength: Curriculum {
  public init() {}
}

/// Radii, step lengths and numbers of steps that differ from sample to sample, fixed for a batch (IAAT, CAT20, CAT18).
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
