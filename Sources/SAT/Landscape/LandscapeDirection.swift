public import SwiftTorch

/// A direction in the space of a network's parameters, one tensor per parameter.
public struct LandscapeDirection {
  public let parts: [Tensor]

  /// The treatment of one-dimensional parameters, biases and BatchNorm's factors, whose filters would be single numbers.
  public enum Vectors: String, Sendable, CaseIterable {
    /// The parameters do not move, as in Li et al.'s figures.
    case fixed
    /// Each parameter counts as one filter.
    case scaled
  }

  /// Returns random directions that are orthogonal to each other, and depend only on the seed and the weights, not on the device.
  public static func orthogonal(_ count: Int, for weights: [Tensor], vectors: Vectors = .fixed, seed: UInt64)
    -> [LandscapeDirection]
  {
    let generator = Generator(seed: seed)
    return (0..<count).reduce(into: []) { directions, _ in
      directions.append(.random(for: weights, orthogonalTo: directions, vectors: vectors, generator: generator))
    }
  }

  /// Returns a random direction with each filter as long as the weights' filter (Li et al. 2018, Section 4).
  ///
  /// The rule is d_f ← d_f · ‖w_f‖ / (‖d_f‖ + 1e-10). A filter is the part of a weight that belongs to one output. Each filter is
  /// first made orthogonal to the other directions' filter, so the whole direction is too. The generator is a CPU generator.
  public static func random(
    for weights: [Tensor], orthogonalTo others: [LandscapeDirection] = [], vectors: Vectors = .fixed, generator: Generator
  ) -> LandscapeDirection {
    withNoGrad {
      LandscapeDirection(
        parts: weights.enumerated().map { index, weight in
          // Every parameter takes a draw, so the choice for vectors does not change the other parameters.
          let draw = Tensor.randn(weight.shape, generator: generator, dtype: weight.dtype).to(weight.device)
          if weight.ndim <= 1 && vectors == .fixed { return Tensor.zeros(like: weight.detached()) }
          func filters(_ tensor: Tensor) -> Tensor { tensor.reshaped(to: weight.ndim > 1 ? [weight.size(0), -1] : [1, -1]) }
          var rows = filters(draw)
          for other in others {
            let along = filters(other.parts[index])
            rows -= along * ((rows * along).sum(dim: 1, keepDim: true) / (along.square().sum(dim: 1, keepDim: true) + 1e-30))
          }
          let lengths = filters(weight.detached()).norm(2, dims: [1], keepDim: true)
          return (rows * (lengths / (rows.norm(2, dims: [1], keepDim: true) + 1e-10))).reshaped(to: weight.shape)
        })
    }
  }
}
