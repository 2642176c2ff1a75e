public import SwiftTorch

/// FAT's rule (Zhang et al. 2020): a sample finishes after `tolerance` more steps as a misclassified sample.
///
/// At tolerance 0 a sample finishes as soon as it is misclassified.
public final class MisclassificationCount: Curriculum {
  private let tolerance: Int
  // The number of steps that each sample of the batch may still take while misclassified.
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
