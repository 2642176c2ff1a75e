internal import SwiftTorch

/// What an attack ascends, one value a sample.
public enum AttackLoss: String, Sendable, Codable, CaseIterable {
  /// Cross-entropy of the label; with a target, minus that of the target.
  case crossEntropy = "ce"
  /// Difference of logits ratio (Croce and Hein 2020), which does not change when the logits are scaled.
  case dlr
  /// The logit margin of Carlini and Wagner (2017): the largest other logit, or the target's, less the label's.
  case margin

  /// How many classes it takes to be defined.
  func minimumClasses(isTargeted: Bool) -> Int {
    switch self {
    case .crossEntropy, .margin: 2
    case .dlr: isTargeted ? 4 : 3
    }
  }

  /// - Parameters:
  ///   - logits: [N, classes].
  ///   - labels: [N], int64.
  ///   - targets: [N], int64; nil for an untargeted attack.
  /// - Returns: [N], in the graph of the logits.
  func values(_ logits: Tensor, _ labels: Tensor, _ targets: Tensor?) -> Tensor {
    func column(_ classes: Tensor) -> Tensor { logits.gathered(dim: 1, at: classes.unsqueezed(dim: 1)).squeezed(dim: 1) }
    switch self {
    case .crossEntropy:
      return targets.map { -logits.crossEntropy($0, reduction: .none) } ?? logits.crossEntropy(labels, reduction: .none)
    case .margin:
      let other = targets.map(column) ?? logits.scattering(-Double.infinity, dim: 1, at: labels.unsqueezed(dim: 1)).max(dims: [1])
      return other - column(labels)
    case .dlr:
      let (ordered, classes) = logits.sorted(dim: 1)
      func ranked(_ rank: Int) -> Tensor { ordered[.all, -rank] }
      if let targets {
        return (column(targets) - column(labels)) / (ranked(1) - 0.5 * (ranked(3) + ranked(4)) + 1e-12)
      }
      let other = ranked(1).replacing(with: ranked(2), where: classes[.all, -1].equal(to: labels))
      return (other - column(labels)) / (ranked(1) - ranked(3) + 1e-12)
    }
  }
}

/// The gradient of a sum of losses with respect to the images they come from; weights get none.
///
/// Where it is NaN or infinite, as that of a square root at 0, it is 0: a value without a slope is left alone, and does not spread.
/// - Throws: `TorchError` when the losses do not depend on the images in a way autograd knows.
func inputGradient(of losses: Tensor, at images: Tensor, retainGraph: Bool = false) throws(TorchError) -> Tensor {
  let total = withGrad { losses.sum() }
  guard total.requiresGrad, let gradient = try Tensor.checkedGradient(of: total, withRespectTo: images, retainGraph: retainGraph) else {
    throw TorchError(
      .value, "the model's output does not depend differentiably on its input; a gradient attack needs a differentiable model")
  }
  return withNoGrad { gradient.replacingNonFinite(with: 0) }
}

extension Tensor {
  /// Rows by position, in this tensor's memory format, which index_select drops.
  func rows(at indices: Tensor) -> Tensor {
    let rows = selecting(indices)
    return ndim == 4 && !isContiguous() && isContiguous(.channelsLast) ? rows.contiguous(.channelsLast) : rows
  }

  /// The norm of each sample, shaped [N, 1, 1, 1] to broadcast over the images.
  func perSampleNorm(_ norm: Norm) -> Tensor {
    switch norm {
    case .linf: abs().max(dims: [1, 2, 3], keepDim: true)
    case .l2: square().sum(dims: [1, 2, 3], keepDim: true).sqrt()
    case .l1: abs().sum(dims: [1, 2, 3], keepDim: true)
    }
  }
}
