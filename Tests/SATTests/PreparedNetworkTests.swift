import SwiftTorch
import Testing

@testable import SAT

@Suite struct PreparedNetworkTests {
  /// Returns the logits and the gradient that an attack follows.
  private static func run(
    _ function: (Tensor) -> Tensor, _ images: Tensor, _ labels: Tensor
  ) -> (logits: Tensor, gradient: Tensor) {
    let leaf = images.detached().requireGrad()
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

  @Test(arguments: [
    (Architecture(name: "lenet5"), [1, 28, 28]), (Architecture(name: "small-cnn"), [1, 28, 28]),
    (Architecture(name: "cnn-a"), [3, 32, 32]), (Architecture(name: "cnn-a", options: ["channels": "1"]), [1, 28, 28]),
  ])
  func smallNetworksToo(architecture: Architecture, shape: [Int]) throws {
    let network = try architecture.make(generator: Generator(seed: 0))
    // TRADES' network starts with zeros in the last layer, so the test fills all weights.
    GoldenNumbers.fill(network)
    network.setTraining(false)
    for (dtype, tolerance) in [(DType.float32, 1e-5), (.float64, 1e-13)] {
      network.convert(to: dtype)
      // Among many samples, single precision may put one ReLU input on the other side of 0, so large batches use double precision.
      for batch in dtype == .float64 ? [1, 9, 70] : [1, 9] {
        let images = Tensor.rand([batch] + shape, generator: Generator(seed: 1), dtype: dtype)
        let labels = Tensor.randint(0..<10, [batch], generator: Generator(seed: 2))
        let expected = Self.run({ network($0) }, images, labels)
        let prepared = network.preparedIfPossible(inputShape: shape)
        let actual = Self.run(prepared, images, labels)
        // Without gradients some layers compute in another way.
        let answers = withNoGrad { prepared(images) }
        for logits in [actual.logits, answers] {
          #expect(Self.largest(logits, expected.logits) <= tolerance * expected.logits.abs().max().item())
        }
        #expect(Self.largest(actual.gradient, expected.gradient) <= tolerance * expected.gradient.abs().max().item())
        #expect(network.parameters.allSatisfy { $0.value.grad == nil })
      }
    }
  }

  @Test func theHalfPrecisionFormIsTheNetworkToItsPrecision() {
    let generator = Generator(seed: 0)
    let network = MNISTNet(generator: generator)
    let images = Tensor.rand([32, 1, 28, 28], generator: generator)
    let labels = Tensor.randint(0..<10, [32], generator: generator)
    let expected = Self.run({ network($0) }, images, labels)
    let prepared = network.prepared(inputShape: [1, 28, 28], dtype: .bfloat16)
    #expect(prepared(images).dtype == .bfloat16)
    let actual = Self.run({ prepared($0).to(.float32) }, images, labels)
    // PyTorch's mixed precision sets the tolerance: it too has eight bits of mantissa and switches ReLU inputs near zero.
    let autocast = Self.run({ x in Torch.withAutocast(.bfloat16, on: .cpu) { network(x) }.to(.float32) }, images, labels)
    func error(_ a: Tensor, _ b: Tensor) -> Double { (a - b).norm().item() / b.norm().item() }
    #expect(actual.gradient.dtype == .float32)
    #expect(error(actual.logits, expected.logits) <= 1.5 * error(autocast.logits, expected.logits))
    #expect(error(actual.gradient, expected.gradient) <= 1.5 * error(autocast.gradient, expected.gradient))
    #expect(error(actual.gradient, expected.gradient) < 0.2)
  }

  /// Networks with BatchNorm and the range of their factors; the sign decides how a pre-activation layer computes.
  static let residual: [(Architecture, side: Int, signs: ClosedRange<Double>)] = [
    (Architecture(name: "resnet20"), 32, -1...1), (Architecture(name: "resnet18"), 32, 0.5...1.5),
    (Architecture(name: "resnet34"), 40, 0.5...1.5), (Architecture(name: "prn20"), 32, 0.5...1.5),
    (Architecture(name: "prn20"), 32, -1...1), (Architecture(name: "prn20", options: ["finalBN": "1"]), 32, 0.5...1.5),
    (Architecture(name: "prn20", options: ["rawShortcut": "1"]), 32, 0.5...1.5),
    (Architecture(name: "prn20", options: ["rawShortcut": "1"]), 32, -1...1),
    (Architecture(name: "wrn34-10", options: ["depth": "16", "width": "2"]), 32, 0.5...1.5),
    (Architecture(name: "wrn34-10", options: ["depth": "10", "width": "1"]), 32, -1...1),
  ]

  /// Returns a network as after some training, with statistics and factors other than 0 and 1.
  static func trained(_ architecture: Architecture, _ factors: ClosedRange<Double>, dtype: DType, generator: Generator) throws
    -> any Layer
  {
    let network = try architecture.make(generator: generator)
    for norm in network.modules.compactMap({ $0 as? BatchNorm2d }) {
      for (tensor, range) in [
        (norm.weight.value, factors), (norm.bias.value, -0.3...0.3), (norm.runningMean.value, -0.2...0.2),
        (norm.runningVariance.value, 0.5...1.5),
      ] { Initialization.uniform(tensor, in: range, generator: generator) }
    }
    network.convert(to: dtype)
    network.setTraining(false)
    return network
  }

  /// Uses double precision, because there rounding never switches a ReLU input near 0.
  @Test(arguments: residual.indices)
  func aPreparedResidualNetworkIsTheNetwork(index: Int) throws {
    let (architecture, side, factors) = Self.residual[index]
    let generator = Generator(seed: UInt64(index))
    let network = try Self.trained(architecture, factors, dtype: .float64, generator: generator)
    let images = Tensor.rand([2, 3, side, side], generator: generator, dtype: .float64)
    let labels = Tensor.randint(0..<10, [2], generator: generator)
    let expected = Self.run({ network($0) }, images, labels)
    let prepared = try #require(network as? any Preparable).prepared(inputShape: [3, side, side])
    for format in [MemoryFormat.contiguous, .channelsLast] {
      let actual = Self.run(prepared, images.contiguous(format), labels)
      #expect(Self.largest(actual.logits, expected.logits) <= 1e-11 * expected.logits.abs().max().item(), "\(architecture)")
      #expect(Self.largest(actual.gradient, expected.gradient) <= 1e-11 * expected.gradient.abs().max().item(), "\(architecture)")
    }
    #expect(network.parameters.allSatisfy { $0.value.grad == nil })
  }

  @Test(arguments: [2, 4, 8])
  func residualNetworksInHalfPrecisionAreAsGoodAsAutocast(index: Int) throws {
    let (architecture, side, factors) = Self.residual[index]
    let generator = Generator(seed: 3)
    let network = try Self.trained(architecture, factors, dtype: .float32, generator: generator)
    let images = Tensor.rand([4, 3, side, side], generator: generator)
    let expected = withNoGrad { network(images) }
    let prepared = try #require(network as? any Preparable).prepared(inputShape: [3, side, side], dtype: .bfloat16)
    let autocast = withNoGrad { Torch.withAutocast(.bfloat16, on: .cpu) { network(images) }.to(.float32) }
    func error(_ a: Tensor) -> Double { (a - expected).norm().item() / expected.norm().item() }
    #expect(prepared(images).dtype == .bfloat16)
    #expect(error(prepared(images).to(.float32)) <= 2 * error(autocast) && error(autocast) > 1e-4)
  }

  @Test func anEvaluationUsesTheStatisticsThatTrainingMoved() throws {
    let generator = Generator(seed: 2)
    let architecture = Architecture(name: "prn20")
    let classifier = NetworkClassifier(try architecture.make(generator: generator), architecture: architecture, normalization: nil)
    let images = Tensor.rand([4, 3, 32, 32], generator: generator)
    _ = classifier.module(images)
    let expected = try classifier.withMode(.evaluation) { () throws(TorchError) in try classifier.logits(images) }
    let prepared = try classifier.withPreparedWeights(inputShape: [3, 32, 32]) { () throws(TorchError) in
      try classifier.logits(images)
    }
    #expect(!prepared.requiresGrad && expected.requiresGrad)
    expectClose(prepared, expected, absolute: 1e-4 * expected.abs().max().item(), relative: 0)
    #expect(classifier.module.isTraining)
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
