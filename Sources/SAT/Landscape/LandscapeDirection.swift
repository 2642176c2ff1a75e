public import SwiftTorch

/// A direction in the space of a network's parameters, one tensor per parameter.
public struct LandscapeDirection {
  public let parts: [Tensor]

  /// What becomes of parameters of one dimension, biases and BatchNorm's factors, of which a filter would be a single number.
  public enum Vectors: String, Sendable, CaseIterable {
    /// They do not move, as in Li et al.'s figures.
    case fixed
    /// Each counts as one filter.
    case scaled
  }

  /// The random directions of a landscape, orthogonal to each other: the same for the same seed, weights' shapes and dtype, on every
  /// device.
  public static func orthogonal(_ count: Int, for weights: [Tensor], vectors: Vectors = .fixed, seed: UInt64) -> [LandscapeDirection] {
    let generator = Generator(seed: seed)
    return (0..<count).reduce(into: []) { directions, _ in
      directions.append(.random(for: weights, orthogonalTo: directions, vectors: vectors, generator: generator))
    }
  }

  /// A random direction whose every filter is as long as the filter of the weights it is added to (Li et al. 2018, Section 4):
  /// d_f ← d_f · ‖w_f‖ / (‖d_f‖ + 1e-10), a filter being what belongs to one output.
  ///
  /// - Parameters:
  ///   - weights: the parameters' values.
  ///   - others: directions each filter is made orthogonal to first, which makes the whole orthogonal to them.
  ///   - generator: a CPU generator.
  public static func random(
    for weights: [Tensor], orthogonalTo others: [LandscapeDirection] = [], vectors: Vectors = .fixed, generator: Generator
  ) -> LandscapeDirection {
    withNoGrad {
      LandscapeDirection(
        parts: weights.enumerated().map { index, weight in
          // Drawn for every parameter, so that the choice for vectors leaves the others as they are.
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
