internal import SwiftTorch

extension Tensor {
  /// Returns the entry at the label [N] in each row [N, classes].
  func entries(at labels: Tensor) -> Tensor { gathered(dim: 1, at: labels.unsqueezed(dim: 1)).squeezed(dim: 1) }

  /// Returns the largest entry of each row [N, classes] other than the label's, [N]; equal entries share the gradient.
  func largestOther(than labels: Tensor) -> Tensor { withoutEntries(at: labels).max(dims: [1]) }

  /// Returns the class of the largest entry other than the label's, [N, 1] for `gathered`; the first of equal entries.
  func largestOtherClass(than labels: Tensor) -> Tensor { withNoGrad { withoutEntries(at: labels).argmax(dim: 1, keepDim: true) } }

  private func withoutEntries(at labels: Tensor) -> Tensor { scattering(-Double.infinity, dim: 1, at: labels.unsqueezed(dim: 1)) }
}
