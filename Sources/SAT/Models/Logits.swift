internal import SwiftTorch

extension Tensor {
  /// The entry of each row [N, classes] at its label [N].
  func entries(at labels: Tensor) -> Tensor { gathered(dim: 1, at: labels.unsqueezed(dim: 1)).squeezed(dim: 1) }

  /// The largest entry of each row [N, classes] other than the label's, [N]; equal entries share its gradient.
  func largestOther(than labels: Tensor) -> Tensor { withoutEntries(at: labels).max(dims: [1]) }

  /// The class of that entry, [N, 1] for `gathered`; the first of equal ones.
  func largestOtherClass(than labels: Tensor) -> Tensor {
    withNoGrad { withoutEntries(at: labels).argmax(dim: 1, keepDim: true) }
  }

  private func withoutEntries(at labels: Tensor) -> Tensor {
    scattering(-Double.infinity, dim: 1, at: labels.unsqueezed(dim: 1))
  }
}
