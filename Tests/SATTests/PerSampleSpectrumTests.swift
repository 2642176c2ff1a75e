import SwiftTorch
import Testing

@testable import SAT

@Suite struct PerSampleSpectrumTests {
  /// The eigenvalue of largest magnitude of each sample's own Hessian.
  private func dominant(_ network: NetworkClassifier, _ images: Tensor, _ labels: Tensor) throws -> [Double] {
    try (0..<labels.count).map { i in
      let values = try denseHessian(network, images[i..<i + 1], labels[i..<i + 1]).eigh().values.array(of: Double.self)
      return values.max { abs($0) < abs($1) }!
    }
  }

  @Test(arguments: SmallNetworks.names)
  func eigenvaluesAreThoseOfTheDenseHessians(name: String) throws {
    let network = SmallNetworks.make(name)
    let (images, labels) = SmallNetworks.data(7)
    let expected = try dominant(network, images, labels)
    var settings = PerSampleSpectrum.Settings()
    settings.tolerance = 1e-5
    settings.chunk = 4
    let spectrum = try PerSampleSpectrum.topEigenvalues(network, images: images, labels: labels, settings: settings)
    #expect(spectrum.isConverged.allSatisfy { $0 })
    for (actual, expected) in zip(spectrum.eigenvalues, expected) {
      #expect(abs(actual - expected) <= 1e-6 * abs(expected), "\(name): \(actual), expected \(expected)")
    }
  }

  /// The catalogue's networks work in batches; the reference is Lanczos on the double backward of one sample.
  @Test(arguments: ["mnist-cnn", "lenet5", "resnet20"])
  func theCataloguesNetworksGoThroughInBatches(name: String) throws {
    let architecture = Architecture(name: name)
    let module = try architecture.make(generator: Generator(seed: 0))
    GoldenNumbers.fill(module, gain: 0.75)
    module.convert(to: .float64)
    module.setTraining(false)
    let network = NetworkClassifier(module, architecture: architecture, normalization: nil)
    let images = GoldenNumbers.images([2] + (try architecture.inputShape())).to(.float64)
    let labels = Tensor([3, 8])
    let linearized = try #require(try LinearizedNetwork(network, images, labels))
    #expect(BatchedLanczos.layers(linearized) != nil)
    #expect(try linearized.accountsForAllGradients(of: module.parameters))
    var settings = PerSampleSpectrum.Settings()
    settings.tolerance = 1e-4
    let found = try PerSampleSpectrum.topEigenvalues(network, images: images, labels: labels, settings: settings)
    let hessian = try LossHessian(network, images: images[1..<2], labels: labels[1..<2])
    let expected = try Lanczos(tolerance: 1e-4).eigenvalues(of: hessian, generator: Generator(seed: 1))[0].value
    #expect(abs(found.eigenvalues[1] - expected) <= 1e-6 * abs(expected), "\(found.eigenvalues[1]), expected \(expected)")
  }

  @Test(arguments: ["groups": false, "own-parameter": false, "tied": false, "recurrent": false, "residual": true, "dead": true])
  func whatCannotBeLinearizedIsFoundOut(name: String, isPossible: Bool) throws {
    let network = SmallNetworks.make(name)
    let (images, labels) = SmallNetworks.data(2)
    guard let linearized = try LinearizedNetwork(network, images, labels) else {
      #expect(!isPossible)
      return
    }
    let goesInBatches =
      try BatchedLanczos.layers(linearized) != nil && linearized.accountsForAllGradients(of: network.module.parameters)
    #expect(goesInBatches == isPossible)
  }

  /// Pairs of pixels give the same result as whole windows, with uneven strides, padding and dilation.
  @Test(arguments: [
    (6, 2, 3, 1, 14), (5, 1, 0, 1, 8), (3, 1, 1, 1, 5), (3, 2, 1, 1, 7), (3, 3, 2, 1, 8), (2, 3, 0, 1, 8), (3, 2, 2, 2, 9),
    (4, 2, 7, 1, 5),
  ])
  func pairsOfPixelsMakeWindows(kernel: Int, stride: Int, padding: Int, dilation: Int, size: Int) {
    let generator = Generator(seed: 1)
    func randn(_ shape: [Int]) -> Tensor { Tensor.randn(shape, generator: generator, dtype: .float64) }
    let layer = Conv2d(
      weight: randn([4, 3, kernel, kernel]), bias: randn([4]), stride: stride, padding: padding, dilation: dilation)
    let input = randn([2, 3, size, size + 1])
    let output = withNoGrad { layer(input) }
    let call = LayerCall(layer: layer, input: input, adjoint: randn(output.shape), hasDependentInput: true)
    let (windowed, paired) = (WindowedLayer(call), PixelPairLayer(call, layer))
    for inputChange in [nil, randn(input.shape)] {
      let adjointChange = randn(output.shape)
      let (expected, found) = (windowed.images(adjointChange, inputChange), paired.images(adjointChange, inputChange))
      #expect(found.tangent.isClose(to: expected.tangent) && found.cotangent!.isClose(to: expected.cotangent!))
    }
  }

  /// For a confidently wrong sample, p − y is of order 1 and diag p − p pᵀ is nearly 0. The network's own curvature then gives
  /// eigenvalues of both signs.
  @Test func misclassifiedSamplesHaveBothSigns() throws {
    let generator = Generator(seed: 4)
    let module = Sequential(
      Flatten(), Linear(36, 6, generator: generator), Activation { $0.tanh() }, Linear(6, 3, generator: generator))
    module.convert(to: .float64)
    _ = withNoGrad { module.parameters[2].value.multiplyInPlace(by: 12.0) }
    module.setTraining(false)
    let network = NetworkClassifier(module, architecture: Architecture(name: "wrong"), normalization: nil)
    let (images, _) = SmallNetworks.data(12)
    let labels = withNoGrad { module(images).argmin(dim: 1) }
    let expected = try dominant(network, images, labels)
    #expect(expected.contains { $0 < 0 } && expected.contains { $0 > 0 })
    var settings = PerSampleSpectrum.Settings()
    settings.tolerance = 1e-6
    settings.maximumIterations = 100
    let spectrum = try PerSampleSpectrum.topEigenvalues(network, images: images, labels: labels, settings: settings)
    for (actual, expected) in zip(spectrum.eigenvalues, expected) {
      #expect(abs(abs(actual) - abs(expected)) <= 1e-6 * abs(expected))
    }
  }

  @Test func chunksAndOrderDoNotMatter() throws {
    let network = SmallNetworks.make("residual")
    let (images, labels) = SmallNetworks.data(9)
    func run(_ images: Tensor, _ labels: Tensor, chunk: Int) throws -> [Double] {
      var settings = PerSampleSpectrum.Settings()
      settings.chunk = chunk
      settings.tolerance = 1e-5
      return try PerSampleSpectrum.topEigenvalues(network, images: images, labels: labels, settings: settings).eigenvalues
    }
    let whole = try run(images, labels, chunk: 64)
    for (a, b) in zip(whole, try run(images, labels, chunk: 2)) { #expect(abs(a - b) <= 1e-8 * abs(a)) }
    let reversed = Tensor(Array((0..<9).reversed()))
    let turned = try run(images.selecting(reversed), labels.selecting(reversed), chunk: 64)
    for (a, b) in zip(whole, turned.reversed()) { #expect(abs(a - b) <= 1e-8 * abs(a)) }
  }

  /// If two other classes tie, the gradient is orthogonal to the dominant eigenvector.
  @Test func aStartAtRightAnglesIsNoTrap() throws {
    let module = Sequential(Flatten(), Linear(36, 3, generator: Generator(seed: 0)))
    module.convert(to: .float64)
    module.setTraining(false)
    // Logits (-2, 0, 0) for every image: p = (0.063, 0.468, 0.468).
    withNoGrad {
      module.parameters[0].value.zeroInPlace()
      module.parameters[1].value.copyInPlace(from: Tensor([-2.0, 0, 0]))
    }
    let network = NetworkClassifier(module, architecture: Architecture(name: "tie"), normalization: nil)
    let (images, _) = SmallNetworks.data(3)
    let labels = Tensor([0, 0, 0])
    let expected = try dominant(network, images, labels)
    let found = try PerSampleSpectrum.topEigenvalues(network, images: images, labels: labels).eigenvalues
    for (a, b) in zip(found, expected) { #expect(abs(a - b) <= 1e-4 * b) }
  }

  /// With huge logits the float32 softmax is 1 and 0: the loss is flat, and no value may become NaN.
  @Test func saturatedSamplesAreFlat() throws {
    let module = Sequential(
      Flatten(), Linear(36, 8, generator: Generator(seed: 0)), ReLU(), Linear(8, 3, generator: Generator(seed: 1)))
    withNoGrad { for parameter in module.parameters { parameter.value.multiplyInPlace(by: 300.0) } }
    module.setTraining(false)
    let network = NetworkClassifier(module, architecture: Architecture(name: "flat"), normalization: nil)
    let (images, _) = SmallNetworks.data(4, dtype: .float32)
    let labels = withNoGrad { module(images).argmax(dim: 1) }
    let spectrum = try PerSampleSpectrum.topEigenvalues(network, images: images, labels: labels)
    #expect(spectrum.eigenvalues == [0, 0, 0, 0])
    #expect(spectrum.isConverged.allSatisfy { $0 })
  }

  @Test(arguments: ["residual", "tanh", "softmax-regression"])
  func gaussNewtonIsJacobianTimesCovariance(name: String) throws {
    let network = SmallNetworks.make(name)
    let (images, labels) = SmallNetworks.data(5)
    let found = try #require(try GaussNewton.topEigenvalues(network, images: images, labels: labels, chunk: 2))
    let parameters = network.module.parameters.map(\.value)
    let layout = ParameterLayout(parameters)
    for i in 0..<5 {
      let logits = try network.logits(images[i..<i + 1])
      let jacobian = Tensor.stacked(
        try (0..<3).map { c in
          layout.joined(try Tensor.checkedGradients(of: [logits[0, c]], withRespectTo: parameters, retainGraph: true).map { $0! })
        })
      let p = logits.detached().softmax(dim: 1)[0]
      let covariance = Tensor.eye(3, dtype: .float64) * p - p.unsqueezed(dim: 1).matmul(p.unsqueezed(dim: 0))
      let expected = jacobian.transposed(0, 1).matmul(covariance).matmul(jacobian).eigh().values.max().item()
      #expect(abs(found[i] - expected) <= 1e-10 * expected)
    }
  }

  @Test func gaussNewtonDeclinesWhatItCannotDo() throws {
    let (images, labels) = SmallNetworks.data(2)
    #expect(try GaussNewton.topEigenvalues(SmallNetworks.make("groups"), images: images, labels: labels) == nil)
  }
}
