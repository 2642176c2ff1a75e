internal import SwiftTorch

// Operations on logits [N, classes] with int64 labels [N].

extension Tensor {
  /// Returns a mask [N] of the rows whose largest entry, the first of equal ones, is the label's.
  func classifies(_ labels: Tensor) -> Tensor { argmax(dim: 1).equal(to: labels) }

  /// Returns a mask [N] of the rows whose largest entry, the first of equal ones, is not the label's.
  func misclassifies(_ labels: Tensor) -> Tensor { argmax(dim: 1).notEqual(to: labels) }

  /// Returns the entry at the label [N] in each row [N, classes].
  func entries(at labels: Tensor) -> Tensor { gathered(dim: 1, at: labels.unsqueezed(dim: 1)).squeezed(dim: 1) }

  /// Returns the largest entry of each row [N, classes] other than the label's, [N]; equal entries share the gradient.
  func largestOther(than labels: Tensor) -> Tensor { withoutEntries(at: labels).max(dims: [1]) }

  /// Returns the class of the largest entry other than the label's, [N, 1] for `gathered`; the first of equal entries.
  func largestOtherClass(than labels: Tensor) -> Tensor { withNoGrad { withoutEntries(at: labels).argmax(dim: 1, keepDim: true) } }

  private func withoutEntries(at labels: Tensor) -> Tensor { scattering(-Double.infinity, dim: 1, at: labels.unsqueezed(dim: 1)) }
}
