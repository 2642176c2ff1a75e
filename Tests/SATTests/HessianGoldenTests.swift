import SwiftTorch
import Testing

@testable import SAT

/// The MNIST network against PyTorch's double backward (`models/hessian_reference.py`).
@Suite struct HessianGoldenTests {
  struct Numbers: Decodable {
    var labels: [Int]
    var loss: Double
    var gradientNorm: Double
    var productNorm: Double
    /// The distances in rising order from the top.
    var largest: [Double]
    var smallest: Double
    var perSample: [Double]
  }

  private func network(_ dtype: DType) throws -> NetworkClassifier {
    let network = try NetworkClassifier.golden("mnist-cnn")
    network.module.convert(to: dtype)
    return network
  }

  @Test func theHessianIsPyTorchs() throws {
    let golden = try Fixtures.description("hessian", as: Numbers.self)
    let tensors = try Fixtures.tensors("hessian")
    let images = GoldenNumbers.images([golden.labels.count, 1, 28, 28])
    let hessian = try LossHessian(network(.float32), images: images, labels: Tensor(golden.labels))
    #expect(abs(hessian.loss - golden.loss) <= 1e-5 * golden.loss)
    #expect(abs(hessian.gradientNorm - golden.gradientNorm) <= 1e-4 * golden.gradientNorm)
    let product = try hessian.product(GoldenNumbers.values([hessian.size], stream: 3000, scale: 1))
    #expect(abs(product.norm().item() - golden.productNorm) <= 1e-4 * golden.productNorm)
    let scale = try tensors["product"].abs().max().item()
    expectClose(GoldenNumbers.subset(product).to(.float64), try tensors["product"], absolute: 1e-4 * scale, relative: 1e-4)
    let largest = try Lanczos(tolerance: 1e-3).eigenvalues(of: hessian, count: 3, end: .largest, generator: Generator(seed: 0))
    for (pair, expected) in zip(largest, golden.largest) { #expect(abs(pair.value - expected) <= 1e-4 * expected) }
    let smallest = try Lanczos(tolerance: 1e-3).eigenvalues(of: hessian, end: .smallest, generator: Generator(seed: 0))[0]
    #expect(abs(smallest.value - golden.smallest) <= 1e-4 * abs(golden.smallest))
    let power = try PowerMethod(tolerance: 1e-6).eigenvalues(of: hessian, generator: Generator(seed: 0))[0]
    #expect(abs(power.value - golden.largest[0]) <= 1e-4 * golden.largest[0])
  }

  @Test(arguments: [DType.float32, .float64])
  func everySamplesEigenvalueIsPyTorchs(dtype: DType) throws {
    let golden = try Fixtures.description("hessian", as: Numbers.self)
    let images = GoldenNumbers.images([golden.labels.count, 1, 28, 28]).to(dtype)
    var settings = PerSampleSpectrum.Settings()
    settings.tolerance = dtype == .float64 ? 1e-5 : 3e-3
    let spectrum = try PerSampleSpectrum.topEigenvalues(
      network(dtype), images: images, labels: Tensor(golden.labels), settings: settings)
    let allowed = dtype == .float64 ? 1e-8 : 1e-4
    for (value, expected) in zip(spectrum.eigenvalues, golden.perSample) {
      #expect(abs(value - expected) <= allowed * abs(expected), "\(value), expected \(expected)")
    }
  }
}
