internal import SwiftTorch

/// AWP (Wu et al. 2020): the weights are moved, within a small relative distance, to where the training loss is larger; the gradient is
/// taken there, and the move is undone after the optimizer's step. Composes with every method.
///
/// For each weight tensor of more than one dimension the move is gamma · ‖w‖ along the gradient of the loss, normalised tensor by
/// tensor. The paper's code takes the gradient from a copy of the network, which keeps that pass out of BatchNorm's running
/// statistics; here the statistics are put back instead, for the same result. The learning rate of the code's proxy cancels in
/// the normalisation.
public final class AdversarialWeightPerturbation {
  /// Size of the move relative to the weights' norm.
  public let gamma: Double
  /// Epochs to train without it first.
  public let warmup: Int

  public init(gamma: Double, warmup: Int = 0) { (self.gamma, self.warmup) = (gamma, warmup) }

  /// A move of the weights that can be made and taken back.
  struct Displacement {
    fileprivate var moves: [(weight: Tensor, move: Tensor)]

    func apply() { add(1) }
    /// Takes the move back from wherever the optimizer has brought the weights since.
    func undo() { add(-1) }

    private func add(_ sign: Double) {
      withNoGrad { for (weight, move) in moves { weight.addInPlace(move, alpha: sign) } }
    }
  }

  /// The move for the network's present weights; nil during the warm-up.
  func displacement(
    of network: NetworkClassifier, epoch: Int, _ objective: (NetworkClassifier) throws(TorchError) -> WeightUpdate.Objective
  ) throws(TorchError) -> Displacement? {
    guard epoch >= warmup else { return nil }
    let weights = network.module.parameters.map(\.value).filter { $0.ndim > 1 }
    let statistics = RestorableTensors(network.module.namedBuffers.map(\.buffer.value))
    let gradients = Tensor.gradient(of: try objective(network).loss, withRespectTo: weights)
    statistics.putBack()
    return withNoGrad {
      Displacement(
        moves: zip(weights, gradients).map { weight, gradient in
          (weight, gradient * (weight.norm() / (gradient.norm() + 1e-20)) * gamma)
        })
    }
  }
}
