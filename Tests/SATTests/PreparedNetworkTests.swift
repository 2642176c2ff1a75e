import SwiftTorch
import Testing

@testable import SAT

@Suite struct PreparedNetworkTests {
  /// Logits and the gradient an attack follows.
  private static func run(
    _ function: (Tensor) -> Tensor, _ images: Tensor, _ labels: Tensor
  ) -> (logits: Tensor, gradient: Tensor) {
    let leaf = images.detached().requiringGrad()
    let logits = function(leaf)
    return (logits.detached(), Tensor.gradient(of: logits.crossEntropy(labels, reduction: .sum), withRespectTo: leaf))
  }

  private static func largest(_ a: Tensor, _ b: Tensor) -> Double { (a - b).abs().max().item() }

  @Test(arguments: [1, 7, 64], [DType.float32, .float64])
  func thePreparedNetworkIsTheNetwork(batch: Int, dtype: DType) {
    let generator = Generator(seed: 0)
    let network = MNISTNet(generator: generator)
    network.convert(to: dtype)
    let images = Tensor.rand([batch, 1, 28, 28], generator: generator, dtype: dtype)
    let labels = Tensor.randint(0..<10, [batch], generator: generator)
    let expected = Self.run({ network($0) }, images, labels)
    let actual = Self.run(network.preparedIfPossible(inputShape: [1, 28, 28]), images, labels)
    let tolerance = dtype == .float64 ? 1e-13 : 1e-5
    #expect(actual.logits.shape == [batch, 10])
    #expect(Self.largest(actual.logits, expected.logits) <= tolerance * expected.logits.abs().max().item())
    #expect(Self.largest(actual.gradient, expected.gradient) <= tolerance * expected.gradient.abs().max().item())
    #expect(network.parameters.allSatisfy { $0.value.grad == nil })
  }

  @Test func theHalfPrecisionFormIsTheNetworkToItsPrecision() {
    let generator = Generator(seed: 0)
    let network = MNISTNet(generator: generator)
    let images = Tensor.rand([32, 1, 28, 28], generator: generator)
    let labels = Tensor.randint(0..<10, [32], generator: generator)
    let expected = Self.run({ network($0) }, images, labels)
    let form = network.prepared(inputShape: [1, 28, 28], dtype: .bfloat16)
    #expect(form(images).dtype == .bfloat16)
    let actual = Self.run({ form($0).to(.float32) }, images, labels)
    // PyTorch's own mixed precision sets the measure: eight bits of mantissa, and every sign near zero that a ReLU sees.
    let autocast = Self.run({ x in Torch.withAutocast(.bfloat16, on: .cpu) { network(x) }.to(.float32) }, images, labels)
    func error(_ a: Tensor, _ b: Tensor) -> Double { (a - b).norm().item() / b.norm().item() }
    #expect(actual.gradient.dtype == .float32)
    #expect(error(actual.logits, expected.logits) <= 1.5 * error(autocast.logits, expected.logits))
    #expect(error(actual.gradient, expected.gradient) <= 1.5 * error(autocast.gradient, expected.gradient))
    #expect(error(actual.gradient, expected.gradient) < 0.2)
  }

  @Test func laterWeightsAreNotSeen() {
    let generator = Generator(seed: 1)
    let network = MNISTNet(generator: generator)
    let images = Tensor.rand([2, 1, 28, 28], generator: generator)
    let prepared = network.prepared(inputShape: [1, 28, 28])
    let before = prepared(images)
    withNoGrad { for parameter in network.parameters { parameter.value.zeroInPlace() } }
    #expect(prepared(images).isEqual(to: before))
    #expect(!before.requiresGrad)
  }
}
