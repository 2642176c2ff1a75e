internal import SwiftTorch

/// H-SAT's curriculum: each step moves the samples with the smallest scores of the last ranking of the batch (Appendix B.3).
final class SmallestCurvature: Curriculum {
  private let curvature: BatchCurvature
  /// The number of samples that a step moves.
  private let count: Int
  /// Steps from one ranking to the next.
  private let every: Int
  private var positions: Tensor?
  private let observe: (Tensor) -> Void

  /// Creates the curriculum of one batch; `observe` gets the scores of every ranking.
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
