public import SwiftTorch

/// Estimates of H-SAT's difficulty psi_H, the spectral norm of the Hessian of a sample's loss with respect to all weights (Eq. 11,
/// Section 5, Appendix C).
///
/// With G the mean gradient of a chunk of samples, s = ‖G‖, g = G/s and ℓ±(i) the loss of sample i at the weights θ ± alpha·g, Taylor's
/// expansion gives ℓ± = ℓ ± alpha·gᵀG_i + ½alpha²·q_i + …, where q_i = gᵀH_i g is what all estimates are after. As a Rayleigh quotient,
/// q_i never exceeds the spectral norm. `docs/paper-map.md` says what is wrong with the printed equations.
public enum CurvatureScore: String, Sendable, CaseIterable {
  /// Eq. 20 as printed: (1/alpha)(ℓ+ + alpha·s) − ℓ, whose leading terms are ℓ(1/alpha − 1) + 2s. The default, as it ranks best
  /// (`docs/results.md`).
  case paperUpper = "paper-upper"
  /// (ℓ+ − 2ℓ + ℓ−)/alpha²: q up to O(alpha²), free of the gradient terms.
  case central
  /// Eq. 19 as printed: (1/alpha)·max(ℓ+ − alpha·s, ℓ− + alpha·s) − ℓ, whose leading term is ℓ(1/alpha − 1).
  case paperLower = "paper-lower"
  /// Eq. 20 with its scale corrected: (2/alpha²)(ℓ+ − ℓ + alpha·s) = 4s/alpha + q.
  case fixedUpper = "fixed-upper"
  /// Eq. 19 with its scale corrected: (2/alpha²)·max(ℓ+ − ℓ − alpha·s, ℓ− − ℓ + alpha·s) = q + O(alpha) where G_i = G.
  case fixedLower = "fixed-lower"
  /// The loss ℓ itself, without a look at the curvature: what the printed equations rank by up to their smaller terms, and free.
  case loss
  /// The spectral norm itself, sample by sample. Slow. Named after the paper's way to it; `PerSampleSpectrum` takes Lanczos'.
  case power

  /// alpha as a fraction of ‖G‖ (Appendix C.1).
  static let relativeStep = 0.01

  /// One score per sample [N], in the images' dtype, of a network in evaluation mode.
  ///
  /// The loss is the cross-entropy, without weight decay. The weights are moved and put back bit for bit.
  /// - Parameters:
  ///   - images: [N, C, H, W].
  ///   - labels: [N], int64.
  ///   - chunk: samples that share a gradient (Appendix C.2).
  public func scores(
    _ network: NetworkClassifier, _ images: Tensor, _ labels: Tensor, chunk: Int = 32
  ) throws(TorchError) -> Tensor {
    try BatchCurvature(network, self, labels, chunk: chunk).scores(images)
  }

  /// The scores of a chunk from its losses and its mean gradient.
  func score(
    _ network: NetworkClassifier, _ images: Tensor, _ labels: Tensor, _ losses: Tensor, _ weights: RestorableTensors, _ gradient: [Tensor]
  ) throws(TorchError) -> Tensor {
    try withNoGrad { () throws(TorchError) in
      let s = Tensor.stacked(gradient.map { $0.norm() }).norm().item()
      // Where the gradient vanishes there is no direction to look in.
      guard s > 0 else { return Tensor.zeros(like: losses) }
      let alpha = step(s, losses.dtype)
      func loss(at sign: Double) throws(TorchError) -> Tensor {
        weights.move(along: [(gradient, sign * alpha / s)])
        return try Self.losses(network, images, labels)
      }
      defer { weights.putBack() }
      let above = try loss(at: 1)
      if self == .paperUpper { return (above + alpha * s) / alpha - losses }
      if self == .fixedUpper { return (above - losses + alpha * s) * (2 / (alpha * alpha)) }
      let below = try loss(at: -1)
      switch self {
      case .paperLower: return (above - alpha * s).maximum(below + alpha * s) / alpha - losses
      case .fixedLower: return (above - losses - alpha * s).maximum(below - losses + alpha * s) * (2 / (alpha * alpha))
      default: return ((above - losses) + (below - losses)) / (alpha * alpha)
      }
    }
  }

  /// 1 % of the gradient's norm; but of a difference of losses that is divided by alpha² rounding would be all that is left where alpha
  /// is small, so for these it is at least the fourth root of the dtype's precision, at which both errors are of one size.
  private func step(_ norm: Double, _ dtype: DType) -> Double {
    let alpha = Self.relativeStep * norm
    if self == .paperUpper || self == .paperLower { return alpha }
    let precision = dtype == .float64 ? Double.ulpOfOne : Double(Float.ulpOfOne)
    return max(alpha, precision.squareRoot().squareRoot())
  }

  /// Cross-entropies [n] by the network's own weights and precision.
  static func losses(_ network: NetworkClassifier, _ images: Tensor, _ labels: Tensor) throws(TorchError) -> Tensor {
    try network.confirmedLogits(images).crossEntropy(labels, reduction: .none)
  }
}
