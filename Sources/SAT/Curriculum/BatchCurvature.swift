internal import SwiftTorch

/// The curvature scores of a batch that are asked for again and again while some of its images move and the weights stay.
///
/// What belongs to a resting sample alone is kept: its loss, the gradient of its image, and its part in its chunk's gradient, in a sum
/// over those that rest, which samples enter when they come to rest and leave when they set off. The gradient that a chunk shares, and
/// so every score, is at every asking that of the images as they are then, up to the rounding of these sums.
final class BatchCurvature {
  private struct Chunk {
    let positions: Range<Int>
    /// Positions in the batch of the samples that are not in `resting`.
    var moving: [Int]
    /// Σ of the gradients of the other samples' losses with respect to the weights; nil while all are moving.
    var resting: [Tensor]?
    var scores: Tensor?
  }

  private let network: NetworkClassifier
  private let score: CurvatureScore
  private let labels: Tensor
  private let findsImageGradients: Bool
  private var chunks: [Chunk]
  /// As they were when last asked about.
  private var images: Tensor?
  private var losses: Tensor?
  /// Gradients of the cross-entropies with respect to the images [N, C, H, W], of the passes that the scores took; nil where none
  /// were asked for, or `power` found the scores without them.
  private(set) var imageGradients: Tensor?

  /// - Parameters:
  ///   - labels: [N], int64.
  ///   - chunk: samples that share a gradient (Appendix C.2), in the batch's order.
  init(_ network: NetworkClassifier, _ score: CurvatureScore, _ labels: Tensor, chunk: Int, imageGradients: Bool = false) {
    (self.network, self.score, self.labels, findsImageGradients) = (network, score, labels, imageGradients)
    chunks = stride(from: 0, to: labels.count, by: chunk).map { first in
      let positions = first..<min(first + chunk, labels.count)
      return Chunk(positions: positions, moving: Array(positions))
    }
  }

  /// One score per sample [N], in the images' dtype.
  ///
  /// - Parameters:
  ///   - images: [N, C, H, W]; those of the last asking must not have been changed in place.
  ///   - moved: positions of the samples whose images differ from the last ones; nil for all.
  func scores(_ images: Tensor, moved: [Int]? = nil) throws(TorchError) -> Tensor {
    defer { self.images = images }
    if losses == nil { losses = Tensor.zeros([labels.count], dtype: images.dtype, device: images.device) }
    if findsImageGradients, score != .power, imageGradients == nil { imageGradients = Tensor.zeros(like: images) }
    return try network.withMode(.evaluation) { () throws(TorchError) in
      let weights = Displaceable(sharesGradients ? network.module.parameters.map(\.value) : [])
      var scores: [Tensor] = []
      for i in chunks.indices {
        let moved = moved.map { $0.filter(chunks[i].positions.contains).sorted() } ?? Array(chunks[i].positions)
        if let known = chunks[i].scores {
          if moved.isEmpty {
            scores.append(known)
            continue
          }
          if sharesGradients { try regroup(&chunks[i], moving: moved, weights.tensors) } else { chunks[i].moving = moved }
        }
        let found = score == .power ? try exact(chunks[i], images) : try estimates(chunks[i], images, weights)
        chunks[i].scores = found
        scores.append(found)
      }
      return Tensor.concatenated(scores)
    }
  }

  /// Whether the score looks along a gradient of the weights.
  private var sharesGradients: Bool { score != .power && score != .loss }

  /// The spectral norms of a chunk, found anew for those that moved.
  private func exact(_ chunk: Chunk, _ images: Tensor) throws(TorchError) -> Tensor {
    var settings = PerSampleSpectrum.Settings()
    settings.tolerance = 1e-3
    let rows = Tensor(chunk.moving).to(images.device)
    let found = try PerSampleSpectrum.topEigenvalues(
      network, images: images.selecting(rows), labels: labels.selecting(rows), settings: settings)
    let norms = Tensor(found.eigenvalues.map(abs)).to(images.dtype).to(images.device)
    guard let known = chunk.scores else { return norms }
    return withNoGrad { known.cloned().copyInPlace(from: norms, at: rows - chunk.positions.lowerBound) }
  }

  /// A chunk's scores from its shared gradient; losses and gradients are found anew for the moving samples.
  private func estimates(_ chunk: Chunk, _ images: Tensor, _ weights: Displaceable) throws(TorchError) -> Tensor {
    let found = try pass(chunk.moving, images, weights.tensors, seed: 1, withImages: findsImageGradients)
    return try withNoGrad { () throws(TorchError) in
      let rows = Tensor(chunk.moving).to(images.device)
      losses?.copyInPlace(from: found.losses, at: rows)
      if let gradients = found.images { imageGradients?.copyInPlace(from: gradients, at: rows) }
      if score == .loss { return (losses ?? found.losses)[chunk.positions].cloned() }
      let sum = chunk.resting.map { zip($0, found.weights).map { $0 + $1 } } ?? found.weights
      return try score.score(
        network, images[chunk.positions], labels[chunk.positions], (losses ?? found.losses)[chunk.positions], weights,
        sum.map { $0 / chunk.positions.count })
    }
  }

  /// Prepares a chunk for new images of other samples than before: those that come to rest enter the sum, those that set off leave it.
  private func regroup(_ chunk: inout Chunk, moving: [Int], _ weights: [Tensor]) throws(TorchError) {
    let (before, after) = (Set(chunk.moving), Set(moving))
    let (rested, started) = (before.subtracting(after).sorted(), after.subtracting(before).sorted())
    // The sum serves later askings too; where it costs more than it saves even so, the whole chunk is looked at again.
    guard 2 * moving.count + rested.count + started.count < 2 * chunk.positions.count, let images else {
      (chunk.moving, chunk.resting) = (Array(chunk.positions), nil)
      return
    }
    for (samples, sign) in [(rested, 1.0), (started, -1.0)] where !samples.isEmpty {
      let found = try pass(samples, images, weights, seed: sign, withImages: false).weights
      chunk.resting = withNoGrad { chunk.resting.map { zip($0, found).map { $0 + $1 } } ?? found }
    }
    chunk.moving = moving
  }

  /// Losses of some samples, and the gradients of their sum times `seed`.
  private func pass(
    _ samples: [Int], _ images: Tensor, _ weights: [Tensor], seed: Double, withImages: Bool
  ) throws(TorchError) -> (losses: Tensor, images: Tensor?, weights: [Tensor]) {
    let rows = Tensor(samples).to(images.device)
    let input = withNoGrad { images.selecting(rows) }.requiringGrad(withImages)
    let losses = try withGrad { () throws(TorchError) in try CurvatureScore.losses(network, input, labels.selecting(rows)) }
    let points = (withImages ? [input] : []) + weights
    let seed = Tensor.full(losses.shape, seed, dtype: losses.dtype, device: losses.device)
    let found = points.isEmpty ? [] : Tensor.gradient(of: losses, withRespectTo: points, seed: seed)
    return (losses.detached(), withImages ? found[0] : nil, Array(found.suffix(weights.count)))
  }
}
