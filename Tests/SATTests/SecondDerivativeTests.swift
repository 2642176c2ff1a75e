import SwiftTorch
import Testing

@testable import SAT

/// In-place activations must keep the values that first and second derivatives read.
@Suite struct SecondDerivativeTests {
  /// Returns the gradients with respect to the images and every parameter, in one vector.
  private func gradient(_ network: any Layer, _ images: Tensor, _ labels: Tensor, createGraph: Bool) -> (Tensor, [Tensor]) {
    let points = [images] + network.parameters.map(\.value)
    let loss = network(images).crossEntropy(labels)
    let gradients = Tensor.gradient(of: loss, withRespectTo: points, createGraph: createGraph)
    return (Tensor.concatenated(gradients.map { $0.reshaped(to: -1) }), points)
  }

  @Test(arguments: NetworkCatalog.entries.map(\.name), [Module.Mode.evaluation, .training])
  func hessianVectorProductsAreDifferencesOfGradients(name: String, mode: Module.Mode) throws {
    // Dropout makes every pass in training mode a different function.
    if name == "small-cnn" && mode == .training { return }
    // The blocks are the same at every depth and width.
    let architecture = Architecture(name: name, options: name == "wrn34-10" ? ["depth": "10", "width": "1"] : [:])
    let network = try architecture.make(generator: Generator(seed: 0))
    GoldenNumbers.fill(network, gain: 0.75)
    network.convert(to: .float64)
    network.setTraining(mode == .training)
    let shape = name == "resnet34" ? [3, 64, 64] : try architecture.inputShape()
    let images = GoldenNumbers.images([2] + shape).to(.float64).requireGrad()
    let labels = Tensor([3, 8])

    let (analytic, points) = gradient(network, images, labels, createGraph: true)
    let generator = Generator(seed: 1)
    let directions = points.map { Tensor.randn($0.shape, generator: generator, dtype: .float64) * 0.01 }
    let direction = Tensor.concatenated(directions.map { $0.reshaped(to: -1) })
    let products = Tensor.gradient(of: analytic.dot(direction), withRespectTo: points)
    let product = Tensor.concatenated(products.map { $0.reshaped(to: -1) })

    // The step is small enough that no activation changes sign, even after BatchNorm over two images, and large enough for 16
    // digits.
    let step = 1e-9
    func moved(_ sign: Double) -> Tensor {
      withNoGrad { for (point, direction) in zip(points, directions) { point.addInPlace(direction, alpha: sign * step) } }
      defer {
        withNoGrad { for (point, direction) in zip(points, directions) { point.addInPlace(direction, alpha: -sign * step) } }
      }
      return gradient(network, images, labels, createGraph: false).0
    }
    let difference = (moved(1) - moved(-1)) / (2 * step)
    let scale = difference.abs().max().item()
    #expect(scale > 1e-6, "there is curvature")
    #expect((product - difference).abs().max().item() <= 1e-4 * scale)
  }
}
