public import SwiftTorch

/// Radii, step lengths and numbers of steps that differ from sample to sample, fixed for a batch (IAAT, CAT20, CAT18).
public struct SampleLimits: Curriculum {
  public var radii: Tensor?
  public var stepSizes: Tensor?
  public var stepCounts: Tensor?

  public init(radii: Tensor? = nil, stepSizes: Tensor? = nil, stepCounts: Tensor? = nil) {
    (self.radii, self.stepSizes, self.stepCounts) = (radii, stepSizes, stepCounts)
  }
}
