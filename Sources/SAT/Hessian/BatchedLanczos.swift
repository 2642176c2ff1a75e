internal import SwiftTorch

/// The Lanczos process of every sample of a batch at once, three vectors each; it ends for a sample once the eigenvalue of largest
/// magnitude is met.
///
/// Without re-orthogonalisation copies of converged eigenvalues may appear, which does not matter for the extreme ones.
struct BatchedLanczos {
  private let classifier: NetworkClassifier
  private let images: Tensor
  private let labels: Tensor
  private let settings: PerSampleSpectrum.Settings
  /// Of `LinearizedNetwork`; nil until the first product shows it.
  private(set) var isCurved: Bool?

  init(
    _ classifier: NetworkClassifier, _ images: Tensor, _ labels: Tensor, _ settings: PerSampleSpectrum.Settings, isCurved: Bool? = nil
  ) {
    (self.classifier, self.images, self.labels, self.settings) = (classifier, images, labels, settings)
    self.isCurved = isCurved
  }

  /// Nil where a layer cannot have changes of its own per sample: a convolution in groups, or parameters used more than once.
  static func layers(_ network: LinearizedNetwork) -> [any PerSampleLayer]? {
    let used = network.calls.flatMap { $0.parameters.map(ObjectIdentifier.init) }
    guard Set(used).count == used.count else { return nil }
    var layers: [any PerSampleLayer] = []
    for call in network.calls {
      switch call.layer {
      case let layer as BatchNorm2d: layers.append(NormalizedLayer(call, layer))
      case let layer as Conv2d where layer.groups != 1: return nil
      case let layer as Conv2d where call.hasDependentInput && PixelPairLayer.cost(call, layer) < WindowedLayer.cost(call, layer):
        layers.append(PixelPairLayer(call, layer))
      default: layers.append(WindowedLayer(call))
      }
    }
    return layers
  }

  /// What one sample has so far.
  private struct Tridiagonal {
    var diagonal: [Double] = []
    var offDiagonal: [Double] = []
    var value = 0.0
    var residual = Double.infinity
    var isConverged = false
  }

  mutating func run() throws(TorchError) -> PerSampleSpectrum {
    let count = labels.count
    var states = Array(repeating: Tridiagonal(), count: count)
    var active = Array(0..<count)
    var (network, layers) = try linearized(images, labels)
    let scales = network.scale.flattened().to(.float64).array(of: Double.self)

    // Of v_k = u_k / ‖u_k‖ the u_k are held, which need not be scaled then.
    var current = KrylovVector(start(network), layers)
    var lengths = current.dot(current.change).clamped(to: 0...).sqrt()
    var previous: (change: LinearizedNetwork.Change, inverse: Tensor)?
    // A sample without a gradient has no curvature either.
    for (position, length) in lengths.to(.float64).array(of: Double.self).enumerated() where length == 0 {
      (states[position].residual, states[position].isConverged) = (0, true)
    }
    for _ in 0..<settings.maximumIterations {
      let open = active.indices.filter { !states[active[$0]].isConverged }
      if open.isEmpty { break }
      // The others go on for nothing until they are half; then the open ones move to a batch of their own.
      if 2 * open.count <= active.count {
        let positions = Tensor(open)
        active = open.map { active[$0] }
        let kept = Tensor(active)
        (network, layers) = try linearized(images.selecting(kept), labels.selecting(kept))
        (current, lengths) = (current.selecting(positions), lengths.selecting(positions))
        previous = previous.map { ($0.change.mapped { $0.selecting(positions) }, $0.inverse.selecting(positions)) }
      }
      let inverse = Self.inverse(lengths)
      let image = try network.change(current.tangents, current.cotangents)
      isCurved = network.isCurved
      let diagonal = current.dot(image) * inverse * inverse
      var terms = [(current.change, diagonal * inverse)]
      if let previous { terms.append((previous.change, lengths * previous.inverse)) }
      let rest = image.combined(inverse, minus: terms)
      let next = KrylovVector(rest, layers)
      let nextLengths = next.dot(rest).clamped(to: 0...).sqrt()
      let (a, b) = (diagonal.to(.float64).array(of: Double.self), nextLengths.to(.float64).array(of: Double.self))
      for (position, sample) in active.enumerated() where !states[sample].isConverged {
        states[sample].diagonal.append(a[position])
        states[sample].offDiagonal.append(b[position])
      }
      assess(&states, active.filter { !states[$0].isConverged })
      previous = (current.change, inverse)
      (current, lengths) = (next, nextLengths)
    }
    return PerSampleSpectrum(
      eigenvalues: zip(states, scales).map { $0.value * $1 },
      residuals: states.map { $0.value == 0 ? 0 : $0.residual / abs($0.value) }, iterations: states.map(\.diagonal.count),
      isConverged: states.map(\.isConverged))
  }

  private func linearized(_ images: Tensor, _ labels: Tensor) throws(TorchError) -> (LinearizedNetwork, [any PerSampleLayer]) {
    guard let network = try LinearizedNetwork(classifier, images, labels, isCurved: isCurved), let layers = Self.layers(network) else {
      fatalError("BatchedLanczos: the network was linearized before and is not now")
    }
    return (network, layers)
  }

  /// The gradient, which lies near the wanted eigenvector, and something random, the same for all samples, since it may be at right
  /// angles: as much as a third of it in the last layer, where few dimensions hold it, and a trace elsewhere.
  private func start(_ network: LinearizedNetwork) -> LinearizedNetwork.Change {
    let generator = Generator(seed: settings.seed)
    let adjoints = network.calls.enumerated().map { index, call in
      let value = call.adjoint
      let noise = Tensor.randn([1] + value.shape.dropFirst(), generator: generator, dtype: value.dtype).to(value.device)
      let size = value.flattened(from: 1).square().mean(dims: [1]).sqrt() * (index == network.calls.count - 1 ? 0.3 : 1e-3)
      return value + noise * size.aligned(with: value)
    }
    return LinearizedNetwork.Change(adjoints: adjoints, inputs: network.calls.map { _ in nil })
  }

  /// 1 / length, and 0 where there is none.
  private static func inverse(_ lengths: Tensor) -> Tensor {
    let factors = 1.0 / lengths
    return factors.replacing(with: Tensor.zeros(like: factors), where: !factors.isFinite())
  }

  /// The extreme eigenvalues of the samples' T, and whether the one of largest magnitude is met.
  private func assess(_ states: inout [Tridiagonal], _ samples: [Int]) {
    guard let first = samples.first else { return }
    let steps = states[first].diagonal.count
    var entries = [Double](repeating: 0, count: samples.count * steps * steps)
    for (index, sample) in samples.enumerated() {
      let base = index * steps * steps
      for i in 0..<steps {
        entries[base + i * steps + i] = states[sample].diagonal[i]
        if i > 0 { entries[base + i * steps + i - 1] = states[sample].offDiagonal[i - 1] }
      }
    }
    let (values, vectors) = Tensor(entries, shape: [samples.count, steps, steps]).eigh()
    let (ritz, last) = (values.array(of: Double.self), vectors[.all, steps - 1].array(of: Double.self))
    for (index, sample) in samples.enumerated() {
      func end(_ column: Int) -> (value: Double, residual: Double) {
        let place = index * steps + column
        return (ritz[place], abs(states[sample].offDiagonal[steps - 1] * last[place]))
      }
      let ends = [end(0), end(steps - 1)].sorted { abs($0.value) > abs($1.value) }
      (states[sample].value, states[sample].residual) = ends[0]
      let size = abs(ends[0].value)
      // The other end must be known well enough not to overtake this one.
      let isOtherEndSmaller = ends[1].residual <= settings.tolerance * size || abs(ends[1].value) + ends[1].residual <= size
      states[sample].isConverged = ends[0].residual <= settings.tolerance * size && (steps == 1 || isOtherEndSmaller)
    }
  }
}
