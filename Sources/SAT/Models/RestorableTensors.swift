internal import SwiftTorch

/// Tensors, such as a network's weights, that move along directions and return to exactly the saved values.
struct RestorableTensors {
  let tensors: [Tensor]
  private let saved: [Tensor]

  /// Saves copies of the tensors.
  init(_ tensors: [Tensor]) {
    self.tensors = tensors
    saved = withNoGrad { tensors.map { $0.detached().cloned() } }
  }

  /// Sets each tensor to its saved value plus the sum of amount times direction; a direction has one part per tensor.
  func move(along directions: [(parts: [Tensor], amount: Double)]) {
    withNoGrad {
      for (index, tensor) in tensors.enumerated() {
        tensor.copyInPlace(from: saved[index])
        for (parts, amount) in directions { tensor.addInPlace(parts[index], alpha: amount) }
      }
    }
  }

  /// Restores the saved values.
  func restore() { withNoGrad { for (tensor, original) in zip(tensors, saved) { tensor.copyInPlace(from: original) } } }
}
