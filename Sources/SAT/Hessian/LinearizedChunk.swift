internal import SwiftTorch

/// Products of the summed loss's Hessian by a linearized network.
struct LinearizedChunk: HessianChunk {
  let loss: Double
  let gradient: [Tensor]
  private let network: LinearizedNetwork
  private let parameters: [Tensor]
  /// Of every call, the positions of its parameters among all.
  private let positions: [[Int]]

  /// Besides inputs and adjoints, the shifts, the seeds, and what the layers in between keep in the two graphs.
  var bytes: Int? {
    network.calls.reduce(0) { $0 + 4 * ($1.input.count + $1.adjoint.count) * $1.adjoint.dtype.size }
  }

  /// - Returns: nil for a network that cannot be linearized.
  init?(_ classifier: any Classifier, _ parameters: [Tensor], _ images: Tensor, _ labels: Tensor) throws(TorchError) {
    guard let classifier = classifier as? NetworkClassifier,
      let network = try LinearizedNetwork(classifier, images, labels, normalized: false)
    else { return nil }
    self.network = network
    self.parameters = parameters.map { $0.detached() }
    let index = Dictionary(
      uniqueKeysWithValues: classifier.module.parameters.enumerated().map { (ObjectIdentifier($1), $0) })
    positions = network.calls.map { $0.parameters.map { index[ObjectIdentifier($0)]! } }
    loss = network.losses.sum().item()
    gradient = Self.assembled(network.calls.map { $0.parameterChange($0.adjoint, nil) }, positions, self.parameters)
  }

  /// As above, nil also for a network that uses its parameters in another way than by calling their layers: the gradient tells.
  init?(
    verifying classifier: any Classifier, _ parameters: [Tensor], _ images: Tensor, _ labels: Tensor
  ) throws(TorchError) {
    guard let chunk = try Self(classifier, parameters, images, labels) else { return nil }
    let expected = try chunk.network.gradient(parameters)
    let total = ParameterLayout(parameters).joined(expected).norm().item()
    for (own, autograd) in zip(chunk.gradient, expected) {
      // Sums over the batch that nearly cancel leave rounding of the size of their terms.
      let allowed = 1e-3 * autograd.norm().item() + 1e-5 * total
      guard (own - autograd).norm().item() <= allowed else { return nil }
    }
    self = chunk
  }

  func product(_ direction: [Tensor]) throws(TorchError) -> [Tensor] {
    let changes = positions.map { $0.map { direction[$0] } }
    let change = try network.change(
      zip(network.calls, changes).map { $0.tangent($1) }, zip(network.calls, changes).map { $0.cotangent($1) })
    let products = network.calls.indices.map { i in
      network.calls[i].parameterChange(change.adjoints[i], change.inputs[i])
    }
    return Self.assembled(products, positions, parameters)
  }

  /// One tensor per parameter: the sum over the calls that use it, zeros for one that none does.
  private static func assembled(_ values: [[Tensor]], _ positions: [[Int]], _ parameters: [Tensor]) -> [Tensor] {
    var sums: [Tensor?] = Array(repeating: nil, count: parameters.count)
    for (call, places) in zip(values, positions) {
      for (value, place) in zip(call, places) { sums[place] = sums[place].map { $0 + value } ?? value }
    }
    return zip(sums, parameters).map { $0 ?? Tensor.zeros(like: $1) }
  }
}
