public import SwiftTorch

/// FAT's rule (Zhang et al. 2020): a sample ends once it is misclassified and has used up the `tolerance` of steps it may go on
/// after that.
public final class MisclassificationCount: Curriculum {
  private let tolerance: Int
  // Steps each sample of the batch may still take while misclassified.
  private var left: Tensor?

  public init(tolerance: Int) { self.tolerance = tolerance }

  public func finished(_ step: InnerStep) -> Tensor? {
    let wrong = step.logits.argmax(dim: 1).notEqual(to: step.labels)
    if tolerance == 0 { return wrong }
    let whole = left ?? Tensor.full(step.labels.shape, tolerance, dtype: .int64, device: step.labels.device)
    let own = step.samples.rows(of: whole)
    let finished = wrong && own.equal(to: 0)
    let reduced = own - (wrong && !finished).to(.int64)
    left = step.samples.positions.map { whole.cloned().copyInPlace(from: reduced, at: $0) } ?? reduced
    return finished
  }
}
