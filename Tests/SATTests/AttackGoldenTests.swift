import SwiftTorch
import Testing

@testable import SAT

/// PGD and P-SAT from given starting points, and a training step of each, against PyTorch.
@Suite struct AttackGoldenTests {
  struct Golden: Decodable {
    struct Case: GoldenCase {
      var name: String
      var model: String
      var stepSize: Double
      var lambda: Double?
      var labels: [Int]
      var loss: Double?
    }
    var epsilon: Double
    var steps: Int
    var shape: [Int]
    var sgd: ModelTests.Golden.Optimizer
    var cases: [Case]
  }

  static let golden = Result { try Fixtures.description("attacks", as: Golden.self) }

  @Test func thereAreCases() throws { #expect(try Self.golden.get().cases.count >= 6) }

  @Test(arguments: (try? golden.get().cases) ?? [], [false, true])
  func iteratesAndUpdates(golden: Golden.Case, prepared: Bool) throws {
    let common = try Self.golden.get()
    let tensors = try Fixtures.tensors("attacks")
    let network = try NetworkClassifier.golden(golden.model)
    let images = GoldenNumbers.images(common.shape)
    let noise = GoldenNumbers.values(common.shape, stream: GoldenNumbers.noise, scale: common.epsilon)
    let labels = Tensor(golden.labels)
    let maximizer = InnerMaximizer(
      threat: try ThreatModel(epsilon: common.epsilon), steps: common.steps, stepSize: golden.stepSize)
    func ascend() throws(TorchError) -> InnerMaximizer.Outcome {
      let start = (images + noise).clamped(to: 0...1)
      guard let lambda = golden.lambda else {
        return try maximizer.ascend(network, from: start, clean: images, labels, FullStrength())
      }
      return try maximizer.ascend(network, from: start, clean: images, labels, ProbabilityGap(lambda: lambda))
    }
    let outcome =
      try prepared
      ? network.withPreparedWeights(inputShape: Array(common.shape.dropFirst()), ascend) : network.withMode(.evaluation, ascend)
    expectClose(outcome.images, try tensors["\(golden.name)/x"], absolute: 1e-6, relative: 0, "iterates")
    let active = try tensors["\(golden.name)/active"].to(.float64).mean(dim: 1).array(of: Double.self)
    #expect(zip(outcome.active, active).allSatisfy { abs($0 - $1) < 1e-12 }, "\(outcome.active), expected \(active)")

    guard let expected = golden.loss else { return }
    let optimizer = SGD(
      network.module.parameters, learningRate: common.sgd.lr, momentum: common.sgd.momentum, weightDecay: common.sgd.weightDecay)
    network.module.setTraining(true)
    let loss = try network.logits(outcome.images).crossEntropy(labels)
    #expect(abs(loss.item() - expected) <= 1e-5 * expected)
    loss.backward()
    optimizer.step()
    try GoldenNumbers.expectState(network.module, tensors, "\(golden.name)/step1", absolute: 1e-5)
  }
}
