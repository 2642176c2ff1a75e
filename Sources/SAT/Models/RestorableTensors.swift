internal import SwiftTorch

/// Tensors, such as a network's weights, that are moved along directions and put back bit for bit.
struct RestorableTensors {
  let tensors: [Tensor]
  private let saved: [Tensor]

  /// Saves copies of the tensors.
  init(_ tensors: [Tensor]) {
    self.tensors = tensors
    saved = withNoGrad { tensors.map { $0.detached().cloned() } }
  }

  /// Moves the tensors from where they were saved along each direction, one tensor per tensor, by its amount.
  func move(along directions: [(parts: [Tensor], amount: Double)]) {
    withNoGrad {
      for (index, tensor) in tensors.enumerated() {
        tensor.copyInPlace(from: saved[index])
        for (parts, amount) in directions { tensor.addInPlace(parts[index], alpha: amount) }
      }
    }
  }

  /// Copies back what was saved.
  func putBack() { withNoGrad { for (tensor, original) in zip(tensors, saved) { tensor.copyInPlace(from: original) } } }
}
