import SwiftTorch
import Testing

@testable import SAT

@Suite struct HessianTests {
  private func columns(_ hessian: LossHessian) throws -> Tensor {
    let identity = Tensor.eye(hessian.size, dtype: hessian.dtype)
    return Tensor.stacked(try (0..<hessian.size).map { try hessian.product(identity[$0]) })
  }

  @Test(arguments: SmallNetworks.names)
  func productsAreTheHessians(name: String) throws {
    let network = SmallNetworks.make(name)
    let (images, labels) = SmallNetworks.data(5)
    let expected = try denseHessian(network, images, labels)
    // The sizes give two whole chunks and a rest.
    let hessian = try LossHessian(network, images: images, labels: labels, chunk: 2)
    let actual = try columns(hessian)
    #expect(expected.abs().max().item() > 1e-3, "there is curvature")
    expectClose(actual, expected, absolute: 1e-12, relative: 1e-9, "\(name)")
    #expect(hessian.products == hessian.size)

    let parameters = network.module.parameters.map(\.value)
    let loss = try network.logits(images).crossEntropy(labels)
    let gradients = try Tensor.checkedGradients(of: [loss], withRespectTo: parameters)
    let gradient = hessian.layout.joined(zip(gradients, parameters).map { $0 ?? Tensor.zeros(like: $1.detached()) })
    expectClose(hessian.gradient, gradient, absolute: 1e-13, relative: 1e-10, "gradient")
    #expect(abs(hessian.loss - loss.item()) <= 1e-13)
    #expect(abs(hessian.gradientNorm - gradient.norm().item()) <= 1e-13)
    #expect(parameters.allSatisfy { $0.grad == nil })
  }

  @Test func whatIsNotKeptIsMadeAnew() throws {
    let network = SmallNetworks.make("residual")
    let (images, labels) = SmallNetworks.data(7)
    let vector = Tensor.randn([network.module.parameterCount], generator: Generator(seed: 1), dtype: .float64)
    let whole = try LossHessian(network, images: images, labels: labels).product(vector)
    let remade = try LossHessian(network, images: images, labels: labels, chunk: 3, keptBytes: 0)
    expectClose(try remade.product(vector), whole, absolute: 1e-13, relative: 1e-9)
  }

  @Test func hooksAndModesAreAsBefore() throws {
    let network = SmallNetworks.make("residual")
    let (images, labels) = SmallNetworks.data(2)
    let before = withNoGrad { network.module(images) }
    _ = try LossHessian(network, images: images, labels: labels)
    _ = try PerSampleSpectrum.topEigenvalues(network, images: images, labels: labels)
    for case let layer as any HookableLayer in network.module.modules { #expect(layer.forwardHook == nil) }
    #expect(withNoGrad { network.module(images) }.isEqual(to: before))
  }

  /// Softmax regression on x̃ = (x, 1): the Hessian of one sample is (diag p − p pᵀ) ⊗ x̃ x̃ᵀ, so its largest eigenvalue is
  /// λ_max(diag p − p pᵀ) ‖x̃‖².
  @Test func softmaxRegressionInClosedForm() throws {
    let network = SmallNetworks.make("softmax-regression")
    let (images, labels) = SmallNetworks.data(6)
    let p = withNoGrad { network.module(images).softmax(dim: 1) }
    let covariance = Tensor.eye(3, dtype: .float64) * p.unsqueezed(dim: 1) - p.unsqueezed(dim: 2).matmul(p.unsqueezed(dim: 1))
    let expected = (covariance.eigh().values[.all, 2] * (images.flattened(from: 1).square().sum(dim: 1) + 1.0)).array(
      of: Double.self)
    var settings = PerSampleSpectrum.Settings()
    settings.tolerance = 1e-7
    let spectrum = try PerSampleSpectrum.topEigenvalues(network, images: images, labels: labels, settings: settings)
    let gaussNewton = try #require(try GaussNewton.topEigenvalues(network, images: images, labels: labels))
    for i in expected.indices {
      #expect(abs(spectrum.eigenvalues[i] - expected[i]) <= 1e-9 * expected[i])
      #expect(abs(gaussNewton[i] - expected[i]) <= 1e-9 * expected[i], "linear logits: Gauss-Newton is the Hessian")
      let hessian = try LossHessian(network, images: images[i..<i + 1], labels: labels[i..<i + 1])
      let pair = try PowerMethod(tolerance: 1e-10, residualTolerance: 1e-5).eigenvalues(of: hessian, generator: Generator(seed: 0))[
        0]
      #expect(abs(pair.value - expected[i]) <= 1e-8 * expected[i])
    }
  }

  /// Two classes give the logistic loss. Its Hessian in the difference of the two rows of weights is p (1 − p) x̃ x̃ᵀ, so the
  /// eigenvalue in both rows is 2 p (1 − p) ‖x̃‖².
  @Test func logisticRegressionInClosedForm() throws {
    let module = Sequential(Flatten(), Linear(36, 2, generator: Generator(seed: 2)))
    module.convert(to: .float64)
    module.setTraining(false)
    let network = NetworkClassifier(module, architecture: Architecture(name: "logistic"), normalization: nil)
    let (images, _) = SmallNetworks.data(4)
    let labels = Tensor([0, 1, 1, 0])
    let p = withNoGrad { module(images).softmax(dim: 1)[.all, 0] }
    let expected = (p * (1 - p) * 2.0 * (images.flattened(from: 1).square().sum(dim: 1) + 1.0)).array(of: Double.self)
    let found = try PerSampleSpectrum.topEigenvalues(network, images: images, labels: labels).eigenvalues
    for (a, b) in zip(found, expected) { #expect(abs(a - b) <= 1e-6 * b) }
  }
}
