internal import SwiftTorch

/// The loss that an attack increases, one value per sample.
public enum AttackLoss: String, Sendable, Codable, CaseIterable {
  /// Cross-entropy of the label; for a targeted attack, minus the cross-entropy of the target.
  case crossEntropy = "ce"
  /// Difference of logits ratio (Croce and Hein 2020), which does not change when the logits are scaled.
  case dlr
  /// The logit margin of Carlini and Wagner (2017): the largest other logit, or the target's, minus the label's.
  case margin

  /// Returns the smallest number of classes for which the loss is defined.
  func minimumClasses(isTargeted: Bool) -> Int {
    switch self {
    case .crossEntropy, .margin: 2
    case .dlr: isTargeted ? 4 : 3
    }
  }

  /// Returns the loss of each sample [N] in the graph of its logits [N, classes]; labels and targets are int64 [N].
  func values(_ logits: Tensor, _ labels: Tensor, _ targets: Tensor?) -> Tensor {
    switch self {
    case .crossEntropy:
      return targets.map { -logits.crossEntropy($0, reduction: .none) } ?? logits.crossEntropy(labels, reduction: .none)
    case .margin:
      let other = targets.map { logits.entries(at: $0) } ?? logits.largestOther(than: labels)
      return other - logits.entries(at: labels)
    case .dlr:
      let (ordered, classes) = logits.sorted(dim: 1)
      func ranked(_ rank: Int) -> Tensor { ordered[.all, -rank] }
      if let targets {
        return (logits.entries(at: targets) - logits.entries(at: labels)) / (ranked(1) - 0.5 * (ranked(3) + ranked(4)) + 1e-12)
      }
      let other = ranked(1).replacing(with: ranked(2), where: classes[.all, -1].equal(to: labels))
      return (other - logits.entries(at: labels)) / (ranked(1) - ranked(3) + 1e-12)
    }
  }
}

/// Returns the gradient of the summed losses with respect to the images; weights get no gradient.
///
/// Entries that are NaN or infinite become 0, as for a square root at 0. A pixel without a slope then stays.
/// - Throws: `TorchError` when autograd cannot trace the losses to the images.
func inputGradient(of losses: Tensor, at images: Tensor, retainGraph: Bool = false) throws(TorchError) -> Tensor {
  let gradient = try rawInputGradient(of: withGrad { losses.sum() }, at: images, retainGraph: retainGraph)
  return withNoGrad { gradient.replacingNonFinite(with: 0) }
}

/// Returns the gradient of a scalar as autograd computes it, with NaN and infinity; it throws what `inputGradient` throws.
func rawInputGradient(of total: Tensor, at images: Tensor, retainGraph: Bool = false) throws(TorchError) -> Tensor {
  guard total.requiresGrad, let gradient = try Tensor.checkedGradient(of: total, withRespectTo: images, retainGraph: retainGraph)
  else {
    throw TorchError(
      .value, "the model's output does not depend differentiably on its input; a gradient attack needs a differentiable model")
  }
  return gradient
}
