import SwiftTorch
import Testing

@testable import SAT

/// Two consecutive updates by every defense against `models/defenses.py`, from the same weights, batches and draws.
@Suite struct TrainingStepTests {
  struct Golden: Decodable {
    struct Case: GoldenCase {
      var name: String
      var method: String
      var lambda: Double
      var options: [String: MethodOptions.Value]
      var model: String
      var norm: Norm
      var epsilon: Double
      var stepSize: Double
      var steps: Int
      var awp: Double
      var k: Int
      var labels: [Int]
      var losses: [Double]
    }
    var seed: UInt64
    var indices: [[Int]]
    var pool: Int
    var sgd: ModelTests.Golden.Optimizer
    var cases: [Case]
  }

  static let golden = Result { try Fixtures.description("training_steps", as: Golden.self) }
  static func tensors() throws -> GoldenTensors { try Fixtures.tensors("training_steps") }

  @Test func everyMethodHasACase() throws {
    let covered = Set(try Self.golden.get().cases.map(\.method))
    #expect(covered == Set(DefenseRegistry.entries.map(\.name)))
  }

  @Test(arguments: (try? golden.get().cases) ?? [])
  func followsPyTorch(golden: Golden.Case) throws {
    let common = try Self.golden.get()
    let tensors = try Self.tensors()
    let network = try NetworkClassifier.golden(golden.model)
    network.module.convert(to: .float64)
    let pool = GoldenNumbers.images([common.pool] + (try network.architecture.inputShape())).to(.float64)
    let labels = Tensor(golden.labels)

    let entry = try DefenseRegistry.entry(named: golden.method)
    var options = MethodOptions(of: entry)
    options.values.merge(golden.options) { $1 }
    try options.validate(for: entry)
    let threat = try ThreatModel(norm: golden.norm, epsilon: golden.epsilon)
    let defense = entry.make(
      DefenseSettings(
        maximizer: InnerMaximizer(threat: threat, steps: golden.steps, stepSize: golden.stepSize), lambda: .constant(golden.lambda),
        options: options, trainingSize: common.pool))
    if golden.k > 0 { (defense as? CAT18)?.begin(steps: golden.k) }
    let optimizer = SGD(
      network.module.parameters, learningRate: common.sgd.lr, momentum: common.sgd.momentum, weightDecay: common.sgd.weightDecay)
    let update = WeightUpdate(
      network, optimizer, perturbation: golden.awp > 0 ? AdversarialWeightPerturbation(gamma: golden.awp) : nil)
    let generator = Generator(seed: common.seed)
    network.module.setTraining(true)
    for (epoch, positions) in common.indices.enumerated() {
      let indices = Tensor(positions)
      let batch = TrainingBatch(
        images: pool.selecting(indices), labels: labels.selecting(indices), indices: indices, epoch: epoch)
      let outcome = try defense.step(batch, update, generator: generator)
      let expected = golden.losses[epoch]
      #expect(abs(outcome.loss - expected) <= 1e-7 * abs(expected), "loss \(outcome.loss), expected \(expected) in step \(epoch)")
      #expect(outcome.perturbation.shape == [positions.count] && outcome.logits.shape == [positions.count, 10])
    }
    #expect(network.module.modules.allSatisfy { $0.isTraining }, "the mode is given back")
    for (name, tensor) in network.module.stateDict {
      expectClose(GoldenNumbers.subset(tensor), try tensors["\(golden.name)/\(name)"], absolute: 1e-8, relative: 1e-7, name)
    }
    let logits = try network.withMode(.evaluation) { () throws(TorchError) in
      try withNoGrad { () throws(TorchError) in try network.logits(pool) }
    }
    expectClose(logits, try tensors["\(golden.name)/logits"], absolute: 1e-7, relative: 1e-6, "logits")
  }
}
