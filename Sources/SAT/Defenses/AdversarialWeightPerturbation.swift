internal import SwiftTorch

/// Adversarial weight perturbation, AWP (Wu et al. 2020): takes each gradient at weights moved to a larger training loss.
///
/// Each weight tensor w with more than one dimension moves by gamma · ‖w‖ along its own normalised gradient of the loss, until the
/// optimizer's step is done. The paper's code takes this gradient from a copy of the network, so BatchNorm's running statistics do
/// not see the pass; this code restores the statistics instead. The learning rate of the paper's proxy optimizer cancels.
public final class AdversarialWeightPerturbation {
  /// The size of the move relative to the weights' norm.
  public let gamma: Double
  /// The number of first epochs without the perturbation.
  public let warmup: Int

  public init(gamma: Double, warmup: Int = 0) {
    self.gamma = gamma
    self.warmup = warmup
  }

  /// A move of the weights that can be applied and undone.
  struct Displacement {
    fileprivate var moves: [(weight: Tensor, move: Tensor)]

    func apply() { add(1) }
    /// Subtracts the move from the current weights, and so keeps the optimizer's changes.
    func undo() { add(-1) }

    private func add(_ sign: Double) { withNoGrad { for (weight, move) in moves { weight.addInPlace(move, alpha: sign) } } }
  }

  /// Returns the move for the network's current weights; nil during the warm-up.
  func displacement(
    of network: NetworkClassifier, epoch: Int, _ objective: (NetworkClassifier) throws(TorchError) -> WeightUpdate.Objective
  ) throws(TorchError) -> Displacement? {
    guard epoch >= warmup else { return nil }
    let weights = network.module.parameters.map(\.value).filter { $0.ndim > 1 }
    let statistics = RestorableTensors(network.module.namedBuffers.map(\.buffer.value))
    let gradients = Tensor.gradient(of: try objective(network).loss, withRespectTo: weights)
    statistics.restore()
    return withNoGrad {
      Displacement(
        moves: zip(weights, gradients).map { weight, gradient in
          (weight, gradient * (weight.norm() / (gradient.norm() + 1e-20)) * gamma)
        })
    }
  }
}
