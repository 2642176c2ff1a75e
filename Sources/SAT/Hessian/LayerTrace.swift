internal import SwiftTorch

/// The losses of a batch with fixed weights and slowly changing images, and the inputs and gradients of every layer.
///
/// From these the layers' own products give the weight gradient of any samples (`LayerCall`), without another pass. Networks with
/// parameters in other layers, or with a second use of a layer's parameters, need another pass.
final class LayerTrace {
  /// The cross-entropies [N].
  let losses: Tensor
  /// The gradients of the losses with respect to the images, [N, C, H, W]; nil if not asked for.
  let imageGradients: Tensor?

  private let network: NetworkClassifier
  private let labels: Tensor
  /// The images of the last update.
  private var images: Tensor
  /// The recorded layers; empty if their products do not give the whole gradient.
  private var layers: [any HookableLayer]
  private var calls: [LayerCall]

  /// Runs the first pass for images [N, C, H, W] and int64 labels [N]; the flags name the gradients that the caller needs.
  init(
    _ network: NetworkClassifier, _ images: Tensor, _ labels: Tensor, imageGradients: Bool, weightGradients: Bool
  ) throws(TorchError) {
    self.network = network
    self.images = images
    self.labels = labels
    layers = weightGradients ? LayerCall.layers(of: network.module) ?? [] : []
    (losses, calls, self.imageGradients) = try Self.pass(network, images, labels, layers, imageGradients: imageGradients)
    if try !accountsForAllGradients() {
      layers = []
      calls = []
    }
  }

  /// Recomputes the samples at the given positions; all other images must be unchanged.
  func update(_ images: Tensor, at rows: Tensor) throws(TorchError) {
    self.images = images
    let found = try Self.pass(
      network, images.selecting(rows), labels.selecting(rows), layers, imageGradients: imageGradients != nil)
    withNoGrad {
      losses.copyInPlace(from: found.losses, at: rows)
      if let gradients = found.imageGradients { imageGradients?.copyInPlace(from: gradients, at: rows) }
      for (call, new) in zip(calls, found.calls) {
        call.input.copyInPlace(from: new.input, at: rows)
        call.adjoint.copyInPlace(from: new.adjoint, at: rows)
      }
    }
  }

  /// Returns the summed gradient of some samples' losses, one tensor per parameter of the network.
  func weightGradients(of samples: Range<Int>) throws(TorchError) -> [Tensor] {
    if calls.isEmpty { return try gradientsByPass(of: samples) }
    return withNoGrad { LayerCall.gradients(of: network.module.parameters, from: calls.map { $0.samples(samples) }) }
  }

  private func gradientsByPass(of samples: Range<Int>) throws(TorchError) -> [Tensor] {
    let parameters = network.module.parameters.map(\.value)
    let loss = try withGrad { () throws(TorchError) in
      try CurvatureScore.losses(network, images[samples].detached(), labels[samples]).sum()
    }
    return try Tensor.checkedGradients(of: [loss], withRespectTo: parameters).orZeros(like: parameters)
  }

  /// Returns true if the layers' products give the whole gradient of the sample of largest loss, which rounding affects least.
  private func accountsForAllGradients() throws(TorchError) -> Bool {
    if calls.isEmpty { return false }
    let sample = Int(losses.argmax().item())
    return try weightGradients(of: sample..<sample + 1).agree(with: gradientsByPass(of: sample..<sample + 1))
  }

  private static func pass(
    _ network: NetworkClassifier, _ images: Tensor, _ labels: Tensor, _ layers: [any HookableLayer], imageGradients: Bool
  ) throws(TorchError) -> (losses: Tensor, calls: [LayerCall], imageGradients: Tensor?) {
    // The layers' inputs are kept and later overwritten, so they must not share memory with the caller's images.
    let input = withNoGrad { images.cloned() }.requireGrad(imageGradients)
    let (records, losses) = try LayerCall.recorded(layers) { () throws(TorchError) in
      try CurvatureScore.losses(network, input, labels)
    }
    let points = (imageGradients ? [input] : []) + records.map(\.shift)
    if points.isEmpty { return (losses.detached(), [], nil) }
    let seed = Tensor.ones(like: losses.detached())
    var gradients = try Tensor.checkedGradients(of: [losses], withRespectTo: points, seeds: [seed])
    let found = imageGradients ? gradients.removeFirst() ?? Tensor.zeros(like: images) : nil
    // A layer that does not affect the logits has no gradient.
    let calls = zip(records, gradients).compactMap { record, adjoint in
      adjoint.map { LayerCall(layer: record.layer, input: record.input.detached(), adjoint: $0, hasDependentInput: true) }
    }
    return (losses.detached(), calls, found)
  }
}
