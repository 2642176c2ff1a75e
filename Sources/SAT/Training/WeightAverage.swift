internal import SwiftTorch

/// A second network whose weights are an average of the trained one's over time, and which is validated and kept in its place.
///
/// EMA moves after every step (Polyak and Juditsky 1992), BatchNorm's running statistics with the weights. SWA takes the weights
/// at the end of every epoch (Izmailov et al. 2018); the average of running statistics is not those of the averaged weights, so they
/// are made anew from the training images.
final class WeightAverage {
  /// In evaluation mode.
  let network: NetworkClassifier
  private let settings: TrainingConfiguration.Averaging
  /// Weights in the average so far.
  private var count = 0

  /// - Parameter network: of the trained network's architecture, on its device; its weights do not matter.
  init(_ settings: TrainingConfiguration.Averaging, network: NetworkClassifier) {
    self.settings = settings
    self.network = network
    network.module.setTraining(false)
  }

  /// Whether there is an average yet.
  var hasBegun: Bool { count > 0 }

  /// Takes in the weights after a step of epoch `epoch`.
  func stepTaken(_ trained: NetworkClassifier, epoch: Int) {
    if settings.kind == .ema && epoch >= settings.start { take(trained, weight: 1 - settings.decay) }
  }

  /// Takes in the weights at the end of epoch `epoch`.
  ///
  /// - Parameter remakeStatistics: gets the averaged network, whose BatchNorm statistics are those of no network, if it has any.
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

  /// What a checkpoint has to hold besides the averaged weights.
  var state: NamedTensors { [("average.count", Tensor(count))] }

  /// Goes on from saved weights and state.
  func restore(weights path: String, count: Int) throws(TorchError) {
    try ModelFile.loadWeights(into: network, from: path)
    self.count = count
  }
}

extension Module {
  /// Makes BatchNorm's running statistics anew: their mean over batches that are run in training mode
  /// (`torch.optim.swa_utils.update_bn`).
  ///
  /// - Parameters:
  ///   - input: makes the input of a batch, while the network still has its old statistics.
  ///   - pass: runs the network on it.
  func remakeBatchStatistics<Batch, E: Error>(
    over batches: some Sequence<Batch>, input: (Batch) throws(E) -> Tensor, pass: (Tensor) throws(E) -> Void
  ) throws(E) {
    let layers = modules.compactMap { $0 as? BatchNorm2d }
    let momenta = layers.map(\.momentum)
    var others = layers.map { layer in
      [Tensor.zeros(like: layer.runningMean.value), .ones(like: layer.runningVariance.value), .zeros(like: layer.batchesTracked.value)]
    }
    func swapStatistics() {
      for (i, layer) in layers.enumerated() {
        let own = [layer.runningMean, layer.runningVariance, layer.batchesTracked]
        let values = own.map(\.value)
        for (buffer, value) in zip(own, others[i]) { buffer.value = value }
        others[i] = values
      }
    }
    for layer in layers { layer.momentum = nil }
    defer { for (layer, momentum) in zip(layers, momenta) { layer.momentum = momentum } }
    for batch in batches {
      let images = try input(batch)
      swapStatistics()
      do {
        try withNoGrad { () throws(E) in try withMode(.training) { () throws(E) in try pass(images) } }
      } catch {
        swapStatistics()
        throw error
      }
      swapStatistics()
    }
    swapStatistics()
  }
}
