internal import SwiftTorch

/// The curvature scores of a batch, recomputed while some images move and the weights stay.
///
/// A `LayerTrace` keeps the values of each sample that the scores use. Therefore only moved samples need another pass. A chunk
/// without moved samples keeps its scores.
final class BatchCurvature {
  private let network: NetworkClassifier
  private let score: CurvatureScore
  private let labels: Tensor
  private let findsImageGradients: Bool
  private let chunks: [Range<Int>]
  /// The latest scores, one tensor per chunk.
  private var known: [Tensor] = []
  private var trace: LayerTrace?

  /// Labels [N] are int64; `chunk` successive samples share a gradient (Appendix C.2).
  init(_ network: NetworkClassifier, _ score: CurvatureScore, _ labels: Tensor, chunk: Int, imageGradients: Bool = false) {
    self.network = network
    self.score = score
    self.labels = labels
    findsImageGradients = imageGradients
    chunks = (0..<labels.count).chunks(of: chunk)
  }

  /// The latest gradients of the cross-entropies with respect to the images, [N, C, H, W]; nil if not asked for, and for `power`.
  var imageGradients: Tensor? { trace?.imageGradients }

  /// Returns one score per sample [N]; `moved` are the positions of the samples with new images since the last call, nil for all.
  func scores(_ images: Tensor, moved: [Int]? = nil) throws(TorchError) -> Tensor {
    try network.withMode(.evaluation) { () throws(TorchError) in
      let moved = known.isEmpty ? Array(0..<labels.count) : (moved ?? Array(0..<labels.count)).sorted()
      known = score == .power ? try exact(images, moved) : try estimates(images, moved)
      return Tensor.concatenated(known)
    }
  }

  /// Returns the spectral norms; computes only those of moved samples.
  private func exact(_ images: Tensor, _ moved: [Int]) throws(TorchError) -> [Tensor] {
    var scores = known.isEmpty ? [Tensor.zeros([labels.count], dtype: images.dtype, device: images.device)] : known
    guard !moved.isEmpty else { return scores }
    var settings = PerSampleSpectrum.Settings()
    settings.tolerance = 1e-3
    let rows = Tensor(moved).to(images.device)
    let found = try network.withUnpreparedWeights { () throws(TorchError) in
      try withGrad { () throws(TorchError) in
        try PerSampleSpectrum.topEigenvalues(
          network, images: images.selecting(rows), labels: labels.selecting(rows), settings: settings)
      }
    }
    let norms = Tensor(found.eigenvalues.map(abs)).to(images.dtype).to(images.device)
    scores[0] = withNoGrad { scores[0].cloned().copyInPlace(from: norms, at: rows) }
    return scores
  }

  private func estimates(_ images: Tensor, _ moved: [Int]) throws(TorchError) -> [Tensor] {
    let current: LayerTrace
    if let trace {
      if !moved.isEmpty { try trace.update(images, at: Tensor(moved).to(images.device)) }
      current = trace
    } else {
      current = try LayerTrace(network, images, labels, imageGradients: findsImageGradients, weightGradients: score != .loss)
      trace = current
    }
    if score == .loss { return [current.losses.cloned()] }
    let weights = RestorableTensors(network.module.parameters.map(\.value))
    var scores: [Tensor] = []
    for (i, chunk) in chunks.enumerated() {
      if !known.isEmpty, !moved.contains(where: chunk.contains) {
        scores.append(known[i])
        continue
      }
      let gradient = try current.weightGradients(of: chunk).map { $0 / chunk.count }
      scores.append(try score.score(network, images[chunk], labels[chunk], current.losses[chunk], weights, gradient))
    }
    return scores
  }
}
