internal import SwiftTorch

/// The losses of a batch whose images move a few at a time while the weights stay, with what every layer read and the gradient that came
/// back to it.
///
/// Of these the gradient of the weights follows for any of the samples by the layers' own products (`LayerCall`), without a pass of its
/// own. A network with parameters in other layers, or that uses a layer's parameters in a second way, is passed again instead.
final class LayerTrace {
  /// Cross-entropies [N].
  let losses: Tensor
  /// Their gradients with respect to the images [N, C, H, W]; nil where none were asked for.
  let imageGradients: Tensor?

  private let network: NetworkClassifier
  private let labels: Tensor
  /// As they were when last looked at.
  private var images: Tensor
  /// Those that are followed; none where they do not account for the gradients.
  private var layers: [any HookableLayer]
  private var calls: [LayerCall]

  /// - Parameters:
  ///   - images: [N, C, H, W].
  ///   - labels: [N], int64.
  ///   - imageGradients: whether they are wanted.
  ///   - weightGradients: whether any will be asked for.
  init(
    _ network: NetworkClassifier, _ images: Tensor, _ labels: Tensor, imageGradients: Bool, weightGradients: Bool
  ) throws(TorchError) {
    self.network = network
    self.images = images
    self.labels = labels
    layers = weightGradients ? LayerCall.layers(of: network.module) ?? [] : []
    let found = try Self.pass(network, images, labels, layers, imageGradients: imageGradients)
    losses = found.losses
    calls = found.calls
    self.imageGradients = found.imageGradients
    if try !accountsForAllGradients() { (layers, calls) = ([], []) }
  }

  /// Looks again at the samples at some positions, the only ones whose images may differ from the last.
  func update(_ images: Tensor, at rows: Tensor) throws(TorchError) {
    self.images = images
    let found = try Self.pass(network, images.selecting(rows), labels.selecting(rows), layers, imageGradients: imageGradients != nil)
    withNoGrad {
      losses.copyInPlace(from: found.losses, at: rows)
      if let gradients = found.imageGradients { imageGradients?.copyInPlace(from: gradients, at: rows) }
      for (call, new) in zip(calls, found.calls) {
        call.input.copyInPlace(from: new.input, at: rows)
        call.adjoint.copyInPlace(from: new.adjoint, at: rows)
      }
    }
  }

  /// Σ of the gradients of some samples' losses, one tensor per parameter of the network.
  func weightGradients(of samples: Range<Int>) throws(TorchError) -> [Tensor] {
    if calls.isEmpty { return try passedGradients(of: samples) }
    return withNoGrad {
      var sums: [ObjectIdentifier: Tensor] = [:]
      for call in calls {
        for (parameter, gradient) in zip(call.parameters, call.samples(samples).gradient()) {
          sums[ObjectIdentifier(parameter)] = sums[ObjectIdentifier(parameter)].map { $0 + gradient } ?? gradient
        }
      }
      return network.module.parameters.map { sums[ObjectIdentifier($0)] ?? Tensor.zeros(like: $0.value.detached()) }
    }
  }

  private func passedGradients(of samples: Range<Int>) throws(TorchError) -> [Tensor] {
    let parameters = network.module.parameters.map(\.value)
    let loss = try withGrad { () throws(TorchError) in
      try CurvatureScore.losses(network, images[samples].detached(), labels[samples]).sum()
    }
    let found = try Tensor.checkedGradients(of: [loss], withRespectTo: parameters)
    return found.orZeros(like: parameters)
  }

  /// One sample shows whether they do: that with the largest loss, whose gradient is furthest from rounding.
  private func accountsForAllGradients() throws(TorchError) -> Bool {
    if calls.isEmpty { return false }
    let sample = Int(losses.argmax().item())
    let (found, expected) = (try weightGradients(of: sample..<sample + 1), try passedGradients(of: sample..<sample + 1))
    return withNoGrad { zip(found, expected).allSatisfy { ($0 - $1).norm().item() <= 1e-3 * $1.norm().item() } }
  }

  private static func pass(
    _ network: NetworkClassifier, _ images: Tensor, _ labels: Tensor, _ layers: [any HookableLayer], imageGradients: Bool
  ) throws(TorchError) -> (losses: Tensor, calls: [LayerCall], imageGradients: Tensor?) {
    // A copy, since what the layers read is kept and later overwritten.
    let input = withNoGrad { images.cloned() }.requireGrad(imageGradients)
    let (records, losses) = try LayerCall.recorded(layers) { () throws(TorchError) in
      try withGrad { () throws(TorchError) in try CurvatureScore.losses(network, input, labels) }
    }
    let points = (imageGradients ? [input] : []) + records.map(\.shift)
    if points.isEmpty { return (losses.detached(), [], nil) }
    let seed = Tensor.ones(like: losses.detached())
    var gradients = try Tensor.checkedGradients(of: [losses], withRespectTo: points, seeds: [seed])
    let found = imageGradients ? gradients.removeFirst() ?? Tensor.zeros(like: images) : nil
    // A layer that the logits do not depend on gets nothing back.
    let calls = zip(records, gradients).compactMap { record, adjoint in
      adjoint.map { LayerCall(layer: record.layer, input: record.input.detached(), adjoint: $0, hasDependentInput: true) }
    }
    return (losses.detached(), calls, found)
  }
}
