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

/// The gradient of a sum of losses with respect to the images they come from; weights get none.
///
/// Where it is NaN or infinite, as that of a square root at 0, it is 0: a value without a slope is left alone, and does not spread.
/// - Throws: `TorchError` when the losses do not depend on the images in a way autograd knows.
func inputGradient(of losses: Tensor, at images: Tensor, retainGraph: Bool = false) throws(TorchError) -> Tensor {
  let gradient = try rawInputGradient(of: withGrad { losses.sum() }, at: images, retainGraph: retainGraph)
  return withNoGrad { gradient.replacingNonFinite(with: 0) }
}

/// The gradient of a scalar with respect to the images it comes from, as autograd finds it.
///
/// - Throws: as `inputGradient`.
func rawInputGradient(of total: Tensor, at images: Tensor, retainGraph: Bool = false) throws(TorchError) -> Tensor {
  guard total.requiresGrad, let gradient = try Tensor.checkedGradient(of: total, withRespectTo: images, retainGraph: retainGraph) else {
    throw TorchError(
      .value, "the model's output does not depend differentiably on its input; a gradient attack needs a differentiable model")
  }
  return gradient
}
