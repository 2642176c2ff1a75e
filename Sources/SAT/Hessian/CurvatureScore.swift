public import SwiftTorch

/// The estimates of H-SAT's difficulty psi_H (Eq. 11, Section 5, Appendix C).
///
/// psi_H is the spectral norm of the Hessian of a sample's loss with respect to all weights. G is the mean gradient of a chunk of
/// samples, s = ‖G‖ and g = G/s. ℓ±(i) is the loss of sample i at the weights θ ± alpha·g. Taylor's expansion gives
/// ℓ± = ℓ ± alpha·gᵀG_i + ½alpha²·q_i + …, and the estimates approximate q_i = gᵀH_i g. q_i is a Rayleigh quotient, so it never
/// exceeds the spectral norm. `docs/paper-map.md` lists the errors in the printed equations.
public enum CurvatureScore: String, Sendable, CaseIterable {
  /// Eq. 20 as printed: (1/alpha)(ℓ+ + alpha·s) − ℓ, with the leading terms ℓ(1/alpha − 1) + 2s. It ranks best (`docs/results.md`).
  case paperUpper = "paper-upper"
  /// The central difference (ℓ+ − 2ℓ + ℓ−)/alpha²: q up to O(alpha²), without gradient terms.
  case central
  /// Eq. 19 as printed: (1/alpha)·max(ℓ+ − alpha·s, ℓ− + alpha·s) − ℓ, with the leading term ℓ(1/alpha − 1).
  case paperLower = "paper-lower"
  /// Eq. 20 with its scale corrected: (2/alpha²)(ℓ+ − ℓ + alpha·s) = 4s/alpha + q.
  case fixedUpper = "fixed-upper"
  /// Eq. 19 with its scale corrected: (2/alpha²)·max(ℓ+ − ℓ − alpha·s, ℓ− − ℓ + alpha·s) = q + O(alpha) if G_i = G.
  case fixedLower = "fixed-lower"
  /// The loss ℓ itself, which costs no further pass; the printed equations rank by ℓ too, up to their smaller terms.
  case loss
  /// The spectral norm itself, which is slow. The name is the paper's method; `PerSampleSpectrum` uses Lanczos instead.
  case power

  /// Returns one score per sample [N], in the images' dtype.
  ///
  /// The network computes in evaluation mode, and its weights end bit for bit as they were. The loss is the cross-entropy, without
  /// weight decay. Images are [N, C, H, W], labels int64 [N]; `chunk` samples share a gradient (Appendix C.2).
  public func scores(_ network: NetworkClassifier, _ images: Tensor, _ labels: Tensor, chunk: Int = 32) throws(TorchError) -> Tensor
  {
    try BatchCurvature(network, self, labels, chunk: chunk).scores(images)
  }

  /// Returns the scores of a chunk from its losses and its mean gradient.
  func score(
    _ network: NetworkClassifier, _ images: Tensor, _ labels: Tensor, _ losses: Tensor, _ weights: RestorableTensors,
    _ gradient: [Tensor]
  ) throws(TorchError) -> Tensor {
    try withNoGrad { () throws(TorchError) in
      let s = Tensor.stacked(gradient.map { $0.norm() }).norm().item()
      // A zero gradient gives no direction.
      guard s > 0 else { return Tensor.zeros(like: losses) }
      let alpha = step(s, losses.dtype)
      func loss(at sign: Double) throws(TorchError) -> Tensor {
        weights.move(along: [(gradient, sign * alpha / s)])
        return try Self.losses(network, images, labels)
      }
      defer { weights.restore() }
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

  /// Returns alpha: 1 % of the gradient's norm (Appendix C.1), with a lower bound for scores that divide by alpha².
  ///
  /// The bound is the fourth root of the dtype's precision, at which rounding and truncation errors are about equal.
  private func step(_ norm: Double, _ dtype: DType) -> Double {
    let alpha = 0.01 * norm
    if self == .paperUpper || self == .paperLower { return alpha }
    let precision = dtype == .float64 ? Double.ulpOfOne : Double(Float.ulpOfOne)
    return max(alpha, precision.squareRoot().squareRoot())
  }

  /// Returns the cross-entropies [n] from the network itself, with its own weights and precision.
  static func losses(_ network: NetworkClassifier, _ images: Tensor, _ labels: Tensor) throws(TorchError) -> Tensor {
    try network.confirmedLogits(images).crossEntropy(labels, reduction: .none)
  }
}
