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
    self.classifier = classifier
    self.images = images
    self.labels = labels
    self.settings = settings
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

  /// The samples that are worked on together, and where their processes are.
  private struct Batch {
    /// Where the samples are among all.
    var samples: [Int]
    var network: LinearizedNetwork
    var layers: [any PerSampleLayer]
    /// u_k of v_k = u_k / ‖u_k‖, which need not be scaled then.
    var current: KrylovVector
    /// ‖u_k‖, [n].
    var lengths: Tensor
    var previous: (change: LinearizedNetwork.Change, inverse: Tensor)?
  }

  mutating func run() throws(TorchError) -> PerSampleSpectrum {
    var states = Array(repeating: Tridiagonal(), count: labels.count)
    var batch = try begun()
    let scales = batch.network.scale.flattened().to(.float64).array(of: Double.self)
    // A sample without a gradient has no curvature either.
    for (sample, length) in batch.lengths.to(.float64).array(of: Double.self).enumerated() where length == 0 {
      states[sample].residual = 0
      states[sample].isConverged = true
    }
    for _ in 0..<settings.maximumIterations {
      let open = batch.samples.indices.filter { !states[batch.samples[$0]].isConverged }
      if open.isEmpty { break }
      // The others go on for nothing until they are half; then the open ones move to a batch of their own.
      if 2 * open.count <= batch.samples.count { batch = try narrowed(batch, to: open) }
      let entries = try step(&batch)
      for (position, sample) in batch.samples.enumerated() where !states[sample].isConverged {
        states[sample].diagonal.append(entries.diagonal[position])
        states[sample].offDiagonal.append(entries.offDiagonal[position])
      }
      assess(&states, batch.samples.filter { !states[$0].isConverged })
    }
    return PerSampleSpectrum(
      eigenvalues: zip(states, scales).map { $0.value * $1 },
      residuals: states.map { $0.value == 0 ? 0 : $0.residual / abs($0.value) }, iterations: states.map(\.diagonal.count),
      isConverged: states.map(\.isConverged))
  }

  /// All samples before their first step.
  private func begun() throws(TorchError) -> Batch {
    let (network, layers) = try linearized(images, labels)
    let current = KrylovVector(start(network), layers)
    let lengths = current.dot(current.change).clamped(to: 0...).sqrt()
    return Batch(samples: Array(0..<labels.count), network: network, layers: layers, current: current, lengths: lengths)
  }

  /// The samples at some positions of a batch as a batch of their own.
  private func narrowed(_ batch: Batch, to open: [Int]) throws(TorchError) -> Batch {
    let positions = Tensor(open)
    let samples = open.map { batch.samples[$0] }
    let kept = Tensor(samples)
    let (network, layers) = try linearized(images.selecting(kept), labels.selecting(kept))
    return Batch(
      samples: samples, network: network, layers: layers, current: batch.current.selecting(positions),
      lengths: batch.lengths.selecting(positions),
      previous: batch.previous.map { ($0.change.mapped { $0.selecting(positions) }, $0.inverse.selecting(positions)) })
  }

  /// Takes the next step of every sample of the batch.
  ///
  /// - Returns: the entries that it adds to the samples' T.
  private mutating func step(_ batch: inout Batch) throws(TorchError) -> (diagonal: [Double], offDiagonal: [Double]) {
    let inverse = Self.inverse(batch.lengths)
    let image = try batch.network.change(batch.current.tangents, batch.current.cotangents)
    isCurved = batch.network.isCurved
    let diagonal = batch.current.dot(image) * inverse * inverse
    var terms = [(batch.current.change, diagonal * inverse)]
    if let previous = batch.previous { terms.append((previous.change, batch.lengths * previous.inverse)) }
    let rest = image.combined(inverse, minus: terms)
    let next = KrylovVector(rest, batch.layers)
    batch.previous = (batch.current.change, inverse)
    batch.current = next
    batch.lengths = next.dot(rest).clamped(to: 0...).sqrt()
    return (diagonal.to(.float64).array(of: Double.self), batch.lengths.to(.float64).array(of: Double.self))
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
