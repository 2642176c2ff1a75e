internal import SwiftTorch

/// The curvature scores of a batch that are asked for again and again while some of its images move and the weights stay.
///
/// What belongs to a resting sample alone is kept: its loss, the gradient of its image, and its part in the gradient of the weights that
/// its chunk shares (`LayerTrace`), so only those that moved are passed anew; and so are the scores of a chunk in which none did.
final class BatchCurvature {
  private let network: NetworkClassifier
  private let score: CurvatureScore
  private let labels: Tensor
  private let findsImageGradients: Bool
  private let chunks: [Range<Int>]
  /// Of the chunks, as last found.
  private var known: [Tensor] = []
  private var trace: LayerTrace?

  /// - Parameters:
  ///   - labels: [N], int64.
  ///   - chunk: samples that share a gradient (Appendix C.2), in the batch's order.
  init(_ network: NetworkClassifier, _ score: CurvatureScore, _ labels: Tensor, chunk: Int, imageGradients: Bool = false) {
    self.network = network
    self.score = score
    self.labels = labels
    findsImageGradients = imageGradients
    chunks = (0..<labels.count).chunks(of: chunk)
  }

  /// Gradients of the cross-entropies with respect to the images [N, C, H, W], of the passes that the scores took; nil where none
  /// were asked for, or `power` found the scores without them.
  var imageGradients: Tensor? { trace?.imageGradients }

  /// One score per sample [N], in the images' dtype.
  ///
  /// - Parameters:
  ///   - images: [N, C, H, W].
  ///   - moved: positions of the samples whose images differ from the last ones; nil for all.
  func scores(_ images: Tensor, moved: [Int]? = nil) throws(TorchError) -> Tensor {
    try network.withMode(.evaluation) { () throws(TorchError) in
      let moved = known.isEmpty ? Array(0..<labels.count) : (moved ?? Array(0..<labels.count)).sorted()
      known = score == .power ? try exact(images, moved) : try estimates(images, moved)
      return Tensor.concatenated(known)
    }
  }

  /// The spectral norms, found anew for the samples that moved.
  private func exact(_ images: Tensor, _ moved: [Int]) throws(TorchError) -> [Tensor] {
    var scores = known.isEmpty ? [Tensor.zeros([labels.count], dtype: images.dtype, device: images.device)] : known
    guard !moved.isEmpty else { return scores }
    var settings = PerSampleSpectrum.Settings()
    settings.tolerance = 1e-3
    let rows = Tensor(moved).to(images.device)
    let found = try network.withUnpreparedWeights { () throws(TorchError) in
      try withGrad { () throws(TorchError) in
        try PerSampleSpectrum.topEigenvalues(network, images: images.selecting(rows), labels: labels.selecting(rows), settings: settings)
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
      scores.append(
        try score.score(network, images[chunk], labels[chunk], current.losses[chunk], weights, gradient))
    }
    return scores
  }
}
