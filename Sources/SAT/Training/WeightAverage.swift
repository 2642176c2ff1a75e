internal import SwiftTorch

/// A second network with the average over time of the trained weights; it is validated and saved instead of the trained network.
///
/// EMA changes after every update (Polyak and Juditsky 1992) and averages BatchNorm's running statistics too. SWA averages the
/// weights at the end of every epoch (Izmailov et al. 2018). Averaged statistics do not fit averaged weights, so SWA recomputes the
/// statistics from the training images.
final class WeightAverage {
  /// The averaged network, in evaluation mode.
  let network: NetworkClassifier
  private let settings: TrainingConfiguration.Averaging
  /// The number of weights in the average so far.
  private var count = 0

  /// Creates an empty average in a network of the same architecture on the same device; its weights do not matter.
  init(_ settings: TrainingConfiguration.Averaging, network: NetworkClassifier) {
    self.settings = settings
    self.network = network
    network.module.setTraining(false)
  }

  var hasBegun: Bool { count > 0 }

  /// Adds the weights after an update in epoch `epoch`, for EMA.
  func stepTaken(_ trained: NetworkClassifier, epoch: Int) {
    if settings.kind == .ema && epoch >= settings.start { take(trained, weight: 1 - settings.decay) }
  }

  /// Adds the weights at the end of epoch `epoch`, for SWA, and calls `remakeStatistics` for an averaged network with BatchNorm.
  func epochEnded(
    _ trained: NetworkClassifier, epoch: Int, remakeStatistics: (NetworkClassifier) throws(TorchError) -> Void
  ) throws(TorchError) {
    guard settings.kind == .swa && epoch >= settings.start else { return }
    take(trained, weight: 1 / Double(count + 1))
    if network.module.modules.contains(where: { $0 is BatchNorm2d }) { try remakeStatistics(network) }
  }

  private func take(_ trained: NetworkClassifier, weight: Double) {
    withNoGrad {
      for ((_, average), (_, value)) in zip(network.module.stateDict, trained.module.stateDict) {
        if count > 0 && average.dtype.isFloatingPoint {
          average.interpolateInPlace(to: value, weight: weight)
        } else {
          average.copyInPlace(from: value)
        }
      }
    }
    count += 1
  }

  /// The tensors that a checkpoint needs besides the averaged weights.
  var state: NamedTensors { [("average.count", Tensor(count))] }

  func restore(weights path: String, count: Int) throws(TorchError) {
    try ModelFile.loadWeights(into: network, from: path)
    self.count = count
  }
}

extension Module {
  /// Recomputes BatchNorm's running statistics as means over batches in training mode (`torch.optim.swa_utils.update_bn`).
  ///
  /// `input` makes the input of a batch while the network has its old statistics; `pass` runs the network on the input.
  func remakeBatchStatistics<Batch, E: Error>(
    over batches: some Sequence<Batch>, input: (Batch) throws(E) -> Tensor, pass: (Tensor) throws(E) -> Void
  ) throws(E) {
    let layers = modules.compactMap { $0 as? BatchNorm2d }
    let momenta = layers.map(\.momentum)
    let buffers = layers.flatMap { [$0.runningMean, $0.runningVariance, $0.batchesTracked] }
    var others = layers.flatMap { layer in
      [
        Tensor.zeros(like: layer.runningMean.value), .ones(like: layer.runningVariance.value),
        .zeros(like: layer.batchesTracked.value),
      ]
    }
    func swapStatistics() {
      let values = buffers.map(\.value)
      for (buffer, value) in zip(buffers, others) { buffer.value = value }
      others = values
    }
    for layer in layers { layer.momentum = nil }
    defer { for (layer, momentum) in zip(layers, momenta) { layer.momentum = momentum } }
    for batch in batches {
      let images = try input(batch)
      swapStatistics()
      defer { swapStatistics() }
      try withNoGrad { () throws(E) in try withMode(.training) { () throws(E) in try pass(images) } }
    }
    swapStatistics()
  }
}
