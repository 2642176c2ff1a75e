internal import SwiftTorch

/// The samples of a batch with the smallest scores: what H-SAT moves in a step (Appendix B.3). They are ranked anew at every step, or
/// at every n-th, over the whole batch.
final class SmallestCurvature: Curriculum {
  private let curvature: BatchCurvature
  /// Samples a step moves.
  private let count: Int
  private let every: Int
  private var positions: Tensor?
  private let observe: (Tensor) -> Void

  /// - Parameter observe: sees the scores of every ranking.
  init(_ curvature: BatchCurvature, count: Int, every: Int = 1, observe: @escaping (Tensor) -> Void = { _ in }) {
    self.curvature = curvature
    self.count = count
    self.every = every
    self.observe = observe
  }

  func chosen(_ samples: InnerSamples) throws(TorchError) -> Choice? {
    if let positions, samples.index % every != 0 { return Choice(positions: positions) }
    let scores = try curvature.scores(samples.images, moved: positions?.array(of: Int.self))
    observe(scores)
    let ranked = scores.sorted(dim: 0).indices[0..<count]
    positions = ranked
    return Choice(positions: ranked, gradient: curvature.imageGradients?.selecting(ranked))
  }
}
