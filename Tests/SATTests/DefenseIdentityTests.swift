import SwiftTorch
import Testing

@testable import SAT

/// Identities between methods that the paper states, and the state that defenses keep.
@Suite struct DefenseIdentityTests {
  private static var images: Tensor { Tensor.rand([30, 1, 28, 28], generator: Generator(seed: 11)) }
  private static var labels: Tensor { Tensor.randint(0..<10, [30], generator: Generator(seed: 12)) }

  /// A run of given batches in a given order.
  private final class Run {
    let network: NetworkClassifier
    let defense: any Defense
    let update: WeightUpdate
    let generator = Generator(seed: 5)
    var outcomes: [TrainingOutcome] = []
    var labels = DefenseIdentityTests.labels

    init(
      _ method: String, lambda: Double = 1, _ options: [String: MethodOptions.Value] = [:], norm: Norm = .linf, steps: Int = 4,
      start: InnerMaximizer.Start = .random, learningRate: Double = 0.01
    ) throws {
      network = try NetworkClassifier("mnist-cnn", seed: 3)
      let entry = try DefenseRegistry.entry(named: method)
      var values = MethodOptions(of: entry)
      values.values.merge(options) { $1 }
      try values.validate(for: entry)
      let threat = try ThreatModel(norm: norm, epsilon: norm == .linf ? 0.2 : 2)
      defense = entry.make(
        DefenseSettings(
          maximizer: InnerMaximizer(threat: threat, steps: steps, stepSize: norm == .linf ? 0.06 : 0.7, start: start),
          lambda: .constant(lambda),
          options: values, trainingSize: 30))
      update = WeightUpdate(network, SGD(network.module.parameters, learningRate: learningRate, momentum: 0.9, weightDecay: 5e-4))
      network.module.setTraining(true)
    }

    func train(_ batches: [[Int]], epoch: Int = 0) throws {
      for positions in batches {
        let indices = Tensor(positions)
        outcomes.append(
          try defense.step(
            TrainingBatch(images: images.selecting(indices), labels: labels.selecting(indices), indices: indices, epoch: epoch),
            update,
            generator: generator))
      }
    }

    var weights: [Tensor] { network.module.parameters.map { $0.value.detached() } }

    func isEqual(to other: Run) -> Bool { zip(weights, other.weights).allSatisfy { $0.isEqual(to: $1) } }
  }

  private static let batches = [Array(0..<10), Array(10..<20), [25, 3, 14, 9, 27, 0, 11]]

  @Test(arguments: [("p-sat", 1.0), ("dat", 0.0), ("h-sat", 1.0), ("epsilon-schedule", 1.0), ("fat", 1000)], [Norm.linf, .l2])
  func atFullStrengthEveryCurriculumIsAT(method: (String, Double), norm: Norm) throws {
    let (at, other) = (try Run("at", norm: norm), try Run(method.0, lambda: method.1, norm: norm))
    try at.train(Self.batches)
    try other.train(Self.batches)
    #expect(other.isEqual(to: at), "bit for bit")
    #expect(zip(at.outcomes, other.outcomes).allSatisfy { $0.loss == $1.loss && $0.active == $1.active })
  }

  @Test func pSATAtZeroIsFATWithoutTolerance() throws {
    let (sat, fat, at) = (try Run("p-sat", lambda: 0), try Run("fat", lambda: 0), try Run("at"))
    for run in [sat, fat, at] { try run.train(Self.batches) }
    #expect(sat.isEqual(to: fat))
    #expect(!sat.isEqual(to: at), "the case distinguishes")
  }

  @Test func hSATMovesItsFraction() throws {
    let run = try Run("h-sat", lambda: 0.25)
    try run.train([Array(0..<10)])
    #expect(run.outcomes[0].active == Array(repeating: 0.3, count: 4), "round(0.25 · 10), halves up")
    let none = try Run("h-sat", lambda: 0)
    try none.train([Array(0..<10)])
    #expect(none.outcomes[0].perturbation.max().item() == 0, "normal training")
    let noise = try Run("h-sat", lambda: 0, ["startAtZero": .flag(true)])
    try noise.train([Array(0..<10)])
    #expect(noise.outcomes[0].perturbation.min().item() > 0.19, "on the random start")
  }

  @Test func aChosenSampleMayRestAndComeBack() throws {
    /// Chooses the even samples in even steps and the odd ones in odd steps.
    struct Alternating: Curriculum {
      func chosen(_ samples: InnerSamples) -> Choice? {
        Choice(positions: Tensor(stride(from: samples.index % 2, to: samples.labels.count, by: 2).map { $0 }))
      }
    }
    let run = try Run("at")
    let maximizer = InnerMaximizer(threat: try ThreatModel(epsilon: 0.3), steps: 4, stepSize: 0.05, start: .clean)
    let images = Self.images[0..<6]
    let outcome = try run.network.withMode(.evaluation) { () throws(TorchError) in
      try maximizer(run.network, images, Self.labels[0..<6], curriculum: Alternating(), generator: Generator(seed: 0))
    }
    let half = InnerMaximizer(threat: maximizer.threat, steps: 2, stepSize: 0.05, start: .clean)
    let expected = try run.network.withMode(.evaluation) { () throws(TorchError) in
      try half(run.network, images, Self.labels[0..<6], curriculum: FullStrength(), generator: Generator(seed: 0))
    }
    expectClose(outcome.images, expected.images, absolute: 1e-6, relative: 0)
    #expect(outcome.active == [0.5, 0.5, 0.5, 0.5] && outcome.cost == AttackCost(forward: 12, backward: 12))
  }

  @Test func stepCountsAndRadiiHoldPerSample() throws {
    let run = try Run("at")
    let threat = try ThreatModel(epsilon: 0.3)
    let limits = SampleLimits(radii: Tensor([Float(0), 0.1, 0.2, 0.3]), stepCounts: Tensor([0, 1, 2, 3]))
    let outcome = try run.network.withMode(.evaluation) { () throws(TorchError) in
      try InnerMaximizer(threat: threat, steps: 9, stepSize: 1, start: .clean)(
        run.network, Self.images[0..<4], Self.labels[0..<4], curriculum: limits, generator: Generator(seed: 0))
    }
    #expect(outcome.active == [0.75, 0.5, 0.25])
    #expect(outcome.cost == AttackCost(forward: 6, backward: 6), "a sample whose steps are used up costs nothing")
    let sizes = threat.size(from: Self.images[0..<4], to: outcome.images).array(of: Float.self)
    #expect(zip(sizes, [0, 0.1, 0.2, 0.3]).allSatisfy { abs($0 - $1) < 1e-6 }, "\(sizes)")
  }

  @Test(arguments: [("iaat", ["warmup": MethodOptions.Value.number(1)]), ("cat20", [:])])
  func memoryBelongsToSamplesWhateverTheOrder(method: (String, [String: MethodOptions.Value])) throws {
    // A tiny learning rate keeps the network, and the clean start keeps the examples. The radii of two epochs then must not depend
    // on the second epoch's order.
    func radii(_ second: [[Int]]) throws -> Tensor {
      let run = try Run(method.0, method.1, start: .clean, learningRate: 1e-12)
      // All samples are right at first, except every third one.
      run.labels = try run.network.logits(Self.images).argmax(dim: 1)
      for i in stride(from: 0, to: 30, by: 3) { run.labels[i].addInPlace(Tensor(run.labels[i].item() < 9 ? 1 : -1)) }
      try run.train([Array(0..<15), Array(15..<30)])
      try run.train(second, epoch: 1)
      return try #require(run.defense.state.first { $0.name == "epsilon" }).tensor
    }
    let straight = try radii([Array(0..<15), Array(15..<30)])
    let shuffled = try radii(Tensor.randperm(30, generator: Generator(seed: 8)).split(size: 15).map { $0.array(of: Int.self) })
    expectClose(shuffled, straight, absolute: 1e-7, relative: 0)
    if method.0 == "iaat" {
      // The warm-up gives clean-right samples epsilon = 0.2. The next epoch adds or subtracts a tenth of 0.2375 · 0.2.
      for (i, radius) in shuffled.array(of: Double.self).enumerated() {
        let expected = i % 3 == 0 ? [0] : [-0.00475, 0, 0.00475].map { 0.2 + $0 }
        #expect(expected.contains { abs($0 - radius) < 1e-6 }, "sample \(i): \(radius), expected one of \(expected)")
      }
    }
    #expect(Set(straight.array(of: Double.self)).count > 1, "samples differ")
    #expect(straight.shape == [30] && straight.min().item() >= 0)
  }

  @Test(arguments: ["iaat", "cat20", "cat18", "fast-at", "free-at", "h-sat"])
  func aRestoredDefenseGoesOnTheSame(method: String) throws {
    let options: [String: MethodOptions.Value] =
      switch method {
      case "iaat": ["warmup": .number(1)]
      case "cat18": ["patience": .number(1)]
      case "free-at": ["replays": .number(2)]
      default: [:]
      }
    let lambda = method == "h-sat" ? 0.5 : 1
    let whole = try Run(method, lambda: lambda, options)
    try whole.train(Self.batches)
    let report = try whole.defense.finishEpoch(0, whole.network)
    try whole.train(Array(Self.batches[..<2]), epoch: 1)

    let resumed = try Run(method, lambda: lambda, options)
    try resumed.network.module.loadStateDict(whole.network.module.stateDict)
    try resumed.update.optimizer.restore(whole.update.optimizer.state.map { ($0.name, $0.tensor.cloned()) })
    try resumed.generator.restore(whole.generator.state)
    // The state is saved in the middle of an epoch and restored from tensors.
    try resumed.defense.restore(whole.defense.state.map { ($0.name, $0.tensor.cloned()) })
    for run in [whole, resumed] { try run.train([Self.batches[2]], epoch: 1) }
    #expect(resumed.isEqual(to: whole))
    let reports = (try whole.defense.finishEpoch(1, whole.network), try resumed.defense.finishEpoch(1, resumed.network))
    #expect(reports.0 == reports.1, "\(reports)")
    #expect(report != EpochReport() || method == "free-at")
    for run in [whole, resumed] { try run.train([Self.batches[0]], epoch: 2) }
    #expect(resumed.isEqual(to: whole))
    #expect(resumed.defense.state.map(\.name) == whole.defense.state.map(\.name))
    #expect(zip(resumed.defense.state, whole.defense.state).allSatisfy { $0.tensor.isEqual(to: $1.tensor) })
  }

  @Test func aStateOfAnotherTrainingSetIsRefused() throws {
    let run = try Run("iaat")
    expectTorchError(["epsilon", "[31]"]) { try run.defense.restore([("epsilon", Tensor.zeros([31]))]) }
    expectTorchError(["epsilon", "lacks"]) { try run.defense.restore([]) }
  }

  @Test func theGuardBringsBackTheEpochBefore() throws {
    let run = try Run("fast-at", ["fall": .number(0)])
    func answer(_ label: Int) {
      _ = withNoGrad {
        run.network.module.parameters.last?.value.copyInPlace(from: Tensor((0..<10).map { Float($0 == label ? 1000 : 0) }))
      }
    }
    // The network is right under every perturbation, so the guard's accuracy starts at 1.
    answer(4)
    let labels = Tensor.full([30], 4, dtype: .int64)
    func step(epoch: Int) throws {
      let indices = Tensor(Array(0..<10))
      _ = try run.defense.step(
        TrainingBatch(
          images: Self.images.selecting(indices), labels: labels.selecting(indices), indices: indices, epoch: epoch),
        WeightUpdate(run.network, SGD(run.network.module.parameters, learningRate: 0)), generator: run.generator)
    }
    try step(epoch: 0)
    let first = try run.defense.finishEpoch(0, run.network)
    #expect(first.stop == nil)
    #expect(first.metrics["guard.accuracy"] == 1)
    let good = run.weights.map { $0.cloned() }
    try step(epoch: 1)
    answer(3)
    try step(epoch: 1)
    let second = try run.defense.finishEpoch(1, run.network)
    #expect(second.stop?.contains("catastrophic") == true)
    #expect(zip(run.weights, good).allSatisfy { $0.isEqual(to: $1) })
  }

  @Test func confidentPredictionsGiveNoNaN() throws {
    // These logits give probabilities of exactly 0 and 1 in float32.
    let clean = Tensor([[Float(200), -200, 0], [-300, 300, 10]]).requireGrad()
    let perturbed = Tensor([[Float(-200), 200, 0], [300, -300, 10]]).requireGrad()
    let labels = Tensor([0, 1])
    let trades = clean.crossEntropy(labels) + TRADES.divergence(clean.logSoftmax(dim: 1), perturbed) / 2
    let mart = MART.loss(clean: clean, perturbed: perturbed, labels, beta: 5)
    for loss in [trades, mart] {
      let gradients = Tensor.gradient(of: loss, withRespectTo: [clean, perturbed], retainGraph: true)
      #expect(loss.item().isFinite && gradients.allSatisfy { $0.isFinite().all().item() == 1 })
    }
  }

  @Test func withoutWeightTRADESIsCleanTraining() throws {
    let (trades, clean) = (try Run("trades", ["beta": .number(0)]), try Run("h-sat", lambda: 0))
    for run in [trades, clean] { try run.train(Self.batches) }
    #expect(zip(trades.weights, clean.weights).allSatisfy { $0.isClose(to: $1, relative: 1e-5, absolute: 1e-7) })
  }

  @Test func aLossThatIsNotFiniteChangesNothing() throws {
    let run = try Run("at")
    _ = withNoGrad { run.network.module.parameters.last?.value.copyInPlace(from: Tensor([Float](repeating: .infinity, count: 10))) }
    let before = run.weights.map { $0.cloned() }
    let error = #expect(throws: SATError.self) { try run.train([Array(0..<10)]) }
    #expect(error?.message.contains("learningRate") == true)
    #expect(zip(run.weights.dropLast(), before).allSatisfy { $0.isEqual(to: $1) })
  }

  @Test func optionsAreCheckedByTheRegistry() throws {
    let base = try Presets.configuration(named: "digits", method: "trades")
    #expect(base.methodOptions.values["beta"] == .number(6) && base.lambda == .constant(1))
    func message(_ setting: String) -> String {
      do {
        _ = try ConfigurationFile.apply(setting: setting, to: base).validated()
        return ""
      } catch { return error.message }
    }
    #expect(message("methodOptions.beta=3") == "")
    #expect(message("methodOptions.kl=element-mean") == "")
    #expect(message("methodOptions.kl=sum").contains("batchmean or element-mean"))
    #expect(message("methodOptions.beta=-1").contains("from 0 to 1000000"))
    #expect(message("methodOptions.beat=3").contains("beta, kl, start"))
    #expect(message("lambda={kind: constant, value: 0.5}").contains("no schedule"))
    #expect(message("awp.gamma=2").contains("gamma"))
  }

  @Test(arguments: Presets.entries.map(\.name))
  func everyMethodFitsEveryPreset(name: String) throws {
    for entry in DefenseRegistry.entries {
      let configuration = try Presets.configuration(named: name, method: entry.name).validated()
      #expect(configuration.method == entry.name && configuration.epochs >= 1)
      let text = try ConfigurationFile.text(configuration)
      let read = try ConfigurationFile.apply(yaml: text, to: Presets.configuration(named: name, method: entry.name), source: "")
      #expect(read == configuration, "\(text)")
    }
  }
}
