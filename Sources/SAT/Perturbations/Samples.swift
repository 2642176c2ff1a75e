internal import SwiftTorch

// Operations on tensors [N, …] with one sample per row.

extension Tensor {
  /// Returns the rows at the given positions and keeps this tensor's memory format, which index_select drops.
  func rows(at indices: Tensor) -> Tensor {
    let rows = selecting(indices)
    return ndim == 4 && !isContiguous() && isContiguous(.channelsLast) ? rows.contiguous(.channelsLast) : rows
  }

  /// Reshapes one value per sample [N] so that it broadcasts over `samples` [N, …].
  func aligned(with samples: Tensor) -> Tensor { reshaped(to: [-1] + Array(repeating: 1, count: samples.ndim - 1)) }

  /// Returns the norm of each sample, [N].
  func norms(_ norm: Norm) -> Tensor {
    let rows = flattened(from: 1)
    return switch norm {
    case .linf: rows.abs().max(dims: [1])
    case .l2: rows.norm(2, dims: [1])
    case .l1: rows.norm(1, dims: [1])
    }
  }

  /// Returns the norm of each sample in a shape that broadcasts over the samples, [N, 1, …].
  func alignedNorms(_ norm: Norm) -> Tensor { norms(norm).aligned(with: self) }

  /// Returns the norm of each image, [N, 1, 1, 1], by the operations of AutoAttack's reference, which round differently.
  func autoAttackNorms(_ norm: Norm) -> Tensor {
    switch norm {
    case .linf: abs().max(dims: [1, 2, 3], keepDim: true)
    case .l2: square().sum(dims: [1, 2, 3], keepDim: true).sqrt()
    case .l1: abs().sum(dims: [1, 2, 3], keepDim: true)
    }
  }
}
