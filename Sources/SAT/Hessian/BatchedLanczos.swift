internal import SwiftTorch

/// The Lanczos process for all samples of a batch at once, with three vectors per sample.
///
/// A sample ends once its eigenvalue of largest magnitude meets the tolerance. The process does not re-orthogonalise, so copies of
/// converged eigenvalues may appear; they do not affect the extreme eigenvalues.
struct BatchedLanczos {
  let classifier: NetworkClassifier
  let images: Tensor
  let labels: Tensor
  let settings: PerSampleSpectrum.Settings
  /// The value of `LinearizedNetwork.isCurved`; nil until the first product.
  var isCurved: Bool?

  /// Returns the network's per-sample layers; nil if a convolution has groups, or if parameters are used more than once.
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

  /// One sample's matrix T so far, and its extreme eigenvalue.
  private struct State {
    var matrix = TridiagonalMatrix()
    var value = 0.0
    var residual = Double.infinity
    var isConverged = false
  }

  /// The samples that advance together, and the vectors of their processes.
  private struct Batch {
    /// Positions of the samples among all samples.
    let samples: [Int]
    let network: LinearizedNetwork
    let layers: [any PerSampleLayer]
    /// u_k and its images, with v_k = u_k / ‖u_k‖; keeping u_k saves the scaling.
    var current: (change: LayerValues, images: LayerValues)
    /// ‖u_k‖, [n].
    var lengths: Tensor
    /// u_{k-1} and 1 / ‖u_{k-1}‖.
    var previous: (change: LayerValues, inverse: Tensor)?
  }

  mutating func run() throws(TorchError) -> PerSampleSpectrum {
    var states = Array(repeating: State(), count: labels.count)
    var batch = try firstBatch()
    let scales = batch.network.scale.flattened().to(.float64).array(of: Double.self)
    // A sample without a gradient has no curvature either.
    for (sample, length) in batch.lengths.to(.float64).array(of: Double.self).enumerated() where length == 0 {
      states[sample].residual = 0
      states[sample].isConverged = true
    }
    for _ in 0..<settings.maximumIterations {
      let open = batch.samples.indices.filter { !states[batch.samples[$0]].isConverged }
      if open.isEmpty { break }
      // Finished samples keep using time until they are half of the batch; then the open ones move to a smaller batch.
      if 2 * open.count <= batch.samples.count { batch = try narrowed(batch, to: open) }
      let entries = try step(&batch)
      for (position, sample) in batch.samples.enumerated() where !states[sample].isConverged {
        states[sample].matrix.diagonal.append(entries.diagonal[position])
        states[sample].matrix.offDiagonal.append(entries.offDiagonal[position])
      }
      assess(&states, batch.samples.filter { !states[$0].isConverged })
    }
    return PerSampleSpectrum(
      eigenvalues: zip(states, scales).map { $0.value * $1 },
      residuals: states.map { $0.value == 0 ? 0 : $0.residual / abs($0.value) }, iterations: states.map(\.matrix.diagonal.count),
      isConverged: states.map(\.isConverged))
  }

  /// Returns the batch of all samples before their first step.
  private func firstBatch() throws(TorchError) -> Batch {
    let (network, layers) = try linearized(images, labels)
    let change = start(network)
    let images = layers.images(of: change)
    return Batch(
      samples: Array(0..<labels.count), network: network, layers: layers, current: (change, images),
      lengths: Self.lengths(change, images))
  }

  /// Returns a new batch with only the samples at the given positions.
  private func narrowed(_ batch: Batch, to open: [Int]) throws(TorchError) -> Batch {
    let positions = Tensor(open)
    let samples = open.map { batch.samples[$0] }
    let kept = Tensor(samples)
    let (network, layers) = try linearized(images.selecting(kept), labels.selecting(kept))
    return Batch(
      samples: samples, network: network, layers: layers,
      current: (batch.current.change.selecting(positions), batch.current.images.selecting(positions)),
      lengths: batch.lengths.selecting(positions),
      previous: batch.previous.map { ($0.change.selecting(positions), $0.inverse.selecting(positions)) })
  }

  /// Takes the next step of every sample of the batch, and returns the new entries of their T.
  private mutating func step(_ batch: inout Batch) throws(TorchError) -> (diagonal: [Double], offDiagonal: [Double]) {
    let inverse = Self.inverse(batch.lengths)
    let product = try batch.network.change(batch.current.images)
    isCurved = batch.network.isCurved
    let diagonal = batch.current.images.dot(product) * inverse * inverse
    var terms = [(batch.current.change, diagonal * inverse)]
    if let previous = batch.previous { terms.append((previous.change, batch.lengths * previous.inverse)) }
    let rest = product.combined(inverse, minus: terms)
    batch.previous = (batch.current.change, inverse)
    batch.current = (rest, batch.layers.images(of: rest))
    batch.lengths = Self.lengths(rest, batch.current.images)
    return (diagonal.to(.float64).array(of: Double.self), batch.lengths.to(.float64).array(of: Double.self))
  }

  private func linearized(_ images: Tensor, _ labels: Tensor) throws(TorchError) -> (LinearizedNetwork, [any PerSampleLayer]) {
    guard let network = try LinearizedNetwork(classifier, images, labels, isCurved: isCurved), let layers = Self.layers(network)
    else { fatalError("BatchedLanczos: the network was linearized before and is not now") }
    return (network, layers)
  }

  /// Returns the starting vectors: each sample's gradient, which lies near the wanted eigenvector, plus noise.
  ///
  /// The noise is the same for all samples. The process needs it because the gradient may be orthogonal to the eigenvector. The
  /// noise is 30 % of the gradient's size in the last layer, which has few dimensions, and 0.1 % elsewhere.
  private func start(_ network: LinearizedNetwork) -> LayerValues {
    let generator = Generator(seed: settings.seed)
    let adjoints = network.calls.enumerated().map { index, call in
      let value = call.adjoint
      let noise = Tensor.randn([1] + value.shape.dropFirst(), generator: generator, dtype: value.dtype).to(value.device)
      let size = value.flattened(from: 1).square().mean(dims: [1]).sqrt() * (index == network.calls.count - 1 ? 0.3 : 1e-3)
      return value + noise * size.aligned(with: value)
    }
    return LayerValues(outputs: adjoints, inputs: network.calls.map { _ in nil })
  }

  private static func lengths(_ change: LayerValues, _ images: LayerValues) -> Tensor {
    images.dot(change).clamped(to: 0...).sqrt()
  }

  /// Returns 1 / length, and 0 for length 0.
  private static func inverse(_ lengths: Tensor) -> Tensor {
    let factors = 1.0 / lengths
    return factors.replacing(with: Tensor.zeros(like: factors), where: !factors.isFinite())
  }

  /// Computes the extreme eigenvalues of the samples' T, and marks the samples that have converged.
  private func assess(_ states: inout [State], _ samples: [Int]) {
    guard let first = samples.first else { return }
    let steps = states[first].matrix.diagonal.count
    let (values, vectors) = Tensor(samples.flatMap { states[$0].matrix.entries }, shape: [samples.count, steps, steps]).eigh()
    let (ritz, last) = (values.array(of: Double.self), vectors[.all, steps - 1].array(of: Double.self))
    for (index, sample) in samples.enumerated() {
      func end(_ column: Int) -> (value: Double, residual: Double) {
        let place = index * steps + column
        return (ritz[place], abs(states[sample].matrix.offDiagonal[steps - 1] * last[place]))
      }
      let ends = [end(0), end(steps - 1)].sorted { abs($0.value) > abs($1.value) }
      (states[sample].value, states[sample].residual) = ends[0]
      let size = abs(ends[0].value)
      // The other end of the spectrum must not be able to exceed this one.
      let isOtherEndSmaller = ends[1].residual <= settings.tolerance * size || abs(ends[1].value) + ends[1].residual <= size
      states[sample].isConverged = ends[0].residual <= settings.tolerance * size && (steps == 1 || isOtherEndSmaller)
    }
  }
}
