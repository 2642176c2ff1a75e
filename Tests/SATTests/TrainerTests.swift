import Foundation
import SwiftTorch
import Testing

@testable import SAT

@Suite struct TrainerTests {
  // MARK: Averages

  /// Averages the weights after every update here by the definition, in double precision.
  @Test func theExponentialAverageIsThatOfTheSteps() throws {
    let scratch = try TrainingScratch()
    var configuration = try scratch.configuration()
    configuration.averaging = .init(kind: .ema, decay: 0.7, start: 1)
    let trainer = try scratch.trainer(configuration)
    let watch = Watch()
    var steps: [[String: Tensor]] = []
    watch.onBatch = { steps.append(snapshot(trainer.network)) }
    #expect(try trainer.run(observer: watch) == .finished)
    #expect(steps.count == 10)
    for (name, saved) in try scratch.weights() {
      // The average begins with the weights after the first update of epoch 1.
      let values = steps[5...].map { $0[name]!.to(.float64) }
      let expected = values.dropFirst().reduce(values[0]) { $0 * 0.7 + $1 * 0.3 }
      expectClose(saved, expected.to(.float32), absolute: 1e-6, name)
      #expect(!saved.isEqual(to: steps[9][name]!))
    }
    // The average does not change the training.
    configuration.averaging = .init()
    let plain = try scratch.trainer(configuration, run: "plain")
    #expect(try plain.run(observer: Watch()) == .finished)
    expectSame(snapshot(plain.network), snapshot(trainer.network))
    // Validation uses the averaged weights, so an evaluation of the saved file gives the same numbers.
    let line = try #require(try scratch.lines("metrics.jsonl").last?["validation"] as? [String: Double])
    let loaded = try ModelFile.load(
      path: "\(scratch.path)/run", checkpoint: .last, execution: Execution(device: "cpu", memoryFormat: .contiguous))
    let evaluation = try Evaluator(
      model: loaded.classifier, data: trainer.validationSet, batchSize: 8, device: .cpu, layout: .contiguous
    ).run([PGD(configuration.maximizer, seed: configuration.seed)])
    #expect(line["clean"] == Double(evaluation.cleanCorrect) / 4 && line["robust"] == Double(evaluation.robustCorrect) / 4)
  }

  /// The weights are the mean over the epochs' ends; this test computes the first layer's statistics from its outputs.
  @Test func stochasticWeightAveragingRemakesTheStatistics() throws {
    let scratch = try TrainingScratch([3, 32, 32], count: 28)
    var configuration = try scratch.configuration()
    configuration.epochs = 3
    configuration.averaging = .init(kind: .swa, start: 1, statistics: .clean)
    let trainer = try scratch.trainer(configuration)
    let watch = Watch()
    var ends: [[String: Tensor]] = []
    watch.onEpoch = { ends.append(snapshot(trainer.network)) }
    #expect(try trainer.run(observer: watch) == .finished)
    let saved = try scratch.weights()
    for (name, _) in trainer.network.module.namedParameters {
      expectClose(saved[name]!, (ends[1][name]! + ends[2][name]!) * 0.5, absolute: 1e-6, name)
    }
    let batches = try stride(from: 0, to: trainer.trainSet.count, by: 8).map { start in
      try trainer.trainSet.batch(start..<min(start + 8, trainer.trainSet.count)).images.conv2d(
        weight: saved["conv1.weight"]!, padding: [1, 1])
    }
    #expect(batches.count == 3)
    func mean(_ statistic: (Tensor) -> Tensor) -> Tensor { batches.map(statistic).reduce(Tensor.zeros([16]), +) / 3.0 }
    expectClose(saved["bn1.running_mean"]!, mean { $0.mean(dims: [0, 2, 3]) }, absolute: 1e-5)
    expectClose(saved["bn1.running_var"]!, mean { $0.variance(dims: [0, 2, 3]) }, absolute: 1e-5, relative: 1e-4)
    #expect(saved["bn1.num_batches_tracked"]!.item() == 3)
    // Perturbed images give other statistics but the same weights.
    configuration.averaging.statistics = .perturbed
    #expect(try scratch.trainer(configuration, run: "perturbed").run(observer: Watch()) == .finished)
    let perturbed = try scratch.weights("perturbed")
    expectIdentical(perturbed["conv1.weight"]!, saved["conv1.weight"]!)
    #expect(!perturbed["bn1.running_mean"]!.isEqual(to: saved["bn1.running_mean"]!))
  }

  // MARK: Steps

  @Test func gradientsAreClipped() throws {
    let scratch = try TrainingScratch()
    var configuration = try scratch.configuration()
    configuration.epochs = 1
    configuration.batchSize = 40
    configuration.logSteps = true
    configuration.optimizer = .init(
      name: .sgd, learningRate: 0.5, momentum: 0, nesterov: false, weightDecay: 0, maxGradientNorm: 1e-3)
    let trainer = try scratch.trainer(configuration)
    let before = snapshot(trainer.network)
    #expect(try trainer.run(observer: Watch()) == .finished)
    let moves = trainer.network.module.stateDict.map { ($0.tensor - before[$0.name]!).to(.float64).norm() }
    let moved = Tensor.stacked(moves).norm().item()
    #expect(abs(moved - 0.5 * 1e-3) < 1e-6, "moved \(moved)")
    // The reported norm is the one before clipping.
    let norm = try #require(try scratch.lines("steps.jsonl")[0]["gradientNorm"] as? Double)
    #expect(norm > 1e-2)
  }

  /// Ten updates, with the highest rate after four.
  @Test func aCyclicRateMovesWithEveryStep() throws {
    let scratch = try TrainingScratch()
    var configuration = try scratch.configuration()
    configuration.learningRateSchedule = .init(kind: .cyclic, peak: 0.4)
    configuration.optimizer.learningRate = 0.4
    let trainer = try scratch.trainer(configuration)
    let watch = Watch()
    var rates: [Double] = []
    watch.onBatch = { rates.append(trainer.optimizer.learningRate) }
    #expect(try trainer.run(observer: watch) == .finished)
    let expected = [0, 0.1, 0.2, 0.3, 0.4] + (1...5).map { 0.4 * (1 - Double($0) / 6) }
    #expect(rates.count == 10 && zip(rates, expected).allSatisfy { abs($0 - $1) < 1e-12 }, "\(rates)")
  }

  @Test func whatIsNotFiniteEndsTheRunWithAdvice() throws {
    let scratch = try TrainingScratch()
    var configuration = try scratch.configuration()
    configuration.optimizer.learningRate = 1e6
    let trainer = try scratch.trainer(configuration)
    let error = #expect(throws: SATError.self) { try trainer.run(observer: Watch()) }
    for words in ["epoch 1", "optimizer.learningRate", "maxGradientNorm"] {
      #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
    }
  }

  /// TRADES' SmallCNN starts with a last layer of zeros. Without learning (the rate is 0 in float32) it predicts the first class
  /// for every image.
  @Test func aConstantAnswerIsNoticed() throws {
    let scratch = try TrainingScratch()
    var configuration = try scratch.configuration(Architecture(name: "small-cnn"))
    configuration.epochs = 1
    configuration.optimizer.learningRate = 1e-300
    let watch = Watch()
    #expect(try scratch.trainer(configuration).run(observer: watch) == .finished)
    #expect(
      watch.warnings.contains { $0.contains("answered 0 to every training image") && $0.contains("a lambda that rises later") })
    #expect(watch.warnings.contains { $0.contains("answers 0 to every validation image") })
    configuration.model = Architecture(name: "cnn-a", options: ["channels": "1"])
    configuration.optimizer.learningRate = 0.01
    let learning = Watch()
    configuration.epochs = 8
    #expect(try scratch.trainer(configuration, run: "learning").run(observer: learning) == .finished)
    #expect(learning.warnings.last.map { !$0.contains("epoch 8") } ?? true, "\(learning.warnings)")
  }

  @Test func theAttackMayHaveAPrecisionOfItsOwn() throws {
    func network(_ execution: Execution) throws -> NetworkClassifier {
      let network = try NetworkClassifier("cnn-a", ["channels": "1"], seed: 1)
      network.execution = execution
      return network
    }
    let images = GoldenNumbers.images([3, 1, 28, 28])
    let (single, mixed, half) = (
      try network(Execution()), try network(Execution(attackPrecision: .bf16)), try network(Execution(precision: .bf16))
    )
    func prepared(_ network: NetworkClassifier, _ precision: Execution.Precision? = nil) throws -> Tensor {
      try network.withPreparedWeights(inputShape: [1, 28, 28], precision: precision) { try network.logits(images).detached() }
    }
    expectIdentical(try mixed.logits(images).detached(), try single.logits(images).detached())
    expectIdentical(try prepared(mixed), try prepared(half))
    expectIdentical(try prepared(mixed, .fp32), try prepared(single))
    #expect(try !prepared(mixed).isEqual(to: prepared(single)))
  }

  // MARK: Fine-tuning

  @Test func aRunGoesOnFromAGivenModel() throws {
    let scratch = try TrainingScratch()
    var configuration = try scratch.configuration()
    configuration.epochs = 1
    #expect(try scratch.trainer(configuration, run: "first").run(observer: Watch()) == .finished)
    configuration.from = "\(scratch.path)/first"
    configuration.seed = 7
    let second = try scratch.trainer(configuration, run: "second")
    expectSame(snapshot(second.network), try scratch.weights("first", "best"))
    #expect(try second.run(observer: Watch()) == .finished)
    // A resumed run continues from its own checkpoint.
    try FileManager.default.removeItem(atPath: "\(scratch.path)/first")
    let resumed = try scratch.trainer(configuration, run: "second", resume: true)
    expectSame(snapshot(resumed.network), try scratch.weights("second"))
  }

  @Test func modelsThatDoNotFitGetASentence() throws {
    let scratch = try TrainingScratch()
    var configuration = try scratch.configuration()
    func expect(_ words: [String], sourceLocation: SourceLocation = #_sourceLocation) {
      let error = #expect(throws: (any Error).self, sourceLocation: sourceLocation) { try scratch.trainer(configuration) }
      let message = error.map { "\($0)" } ?? ""
      #expect(error is SATError || error is TorchError, sourceLocation: sourceLocation)
      for word in words { #expect(message.contains(word), "\(message)", sourceLocation: sourceLocation) }
      #expect(!message.contains("\n"), sourceLocation: sourceLocation)
    }
    func save(_ architecture: Architecture, _ normalization: Normalization? = nil) throws -> String {
      let path = "\(scratch.path)/\(architecture.name).safetensors"
      let network = NetworkClassifier(
        try architecture.make(generator: Generator(seed: 0)), architecture: architecture, normalization: normalization)
      try ModelFile.save(network, to: path)
      return path
    }
    configuration.from = try save(Architecture(name: "lenet5"))
    expect(["lenet5", "cnn-a channels=1", "--model"])
    configuration.from = try save(Architecture(name: "cnn-a"))
    expect(["holds cnn-a,", "cnn-a channels=1"])
    configuration.from = try save(configuration.model, try Normalization("mnist"))
    expect(["normalises its images by 0.1307 0.3081", "by none", "--normalize"])
    configuration.from = Fixtures.path("files/tiny.ts")
    expect(["TorchScript", "cannot be trained"])
    configuration.from = "\(scratch.path)/nowhere"
    expect(["nowhere does not exist"])
    configuration.from = "none"
    configuration.normalization = "cifar10"
    expect(["normalisation has 3 channels", "cnn-a takes images of 1"])
    #expect(!FileManager.default.fileExists(atPath: "\(scratch.path)/run"))
  }

  // MARK: Data

  /// Augmentation changes the trained network; the number of prefetched batches does not, and each epoch has its own draws.
  @Test func trainingImagesAreAugmented() throws {
    let scratch = try TrainingScratch()
    var configuration = try scratch.configuration(method: "at")
    configuration.augmentation = .crop
    #expect(try scratch.trainer(configuration, run: "crop").run(observer: Watch()) == .finished)
    #expect(try scratch.trainer(configuration, run: "again").run(observer: Watch()) == .finished)
    configuration.augmentation = .none
    #expect(try scratch.trainer(configuration, run: "plain").run(observer: Watch()) == .finished)
    expectSame(try scratch.weights("crop"), try scratch.weights("again"))
    #expect(try scratch.weights("crop").contains { name, tensor in try !tensor.isEqual(to: scratch.weights("plain")[name]!) })
    let text = try ConfigurationFile.apply(setting: "augmentation=paper", to: configuration)
    #expect(text.augmentation == .paper)
    #expect(try ConfigurationFile.apply(yaml: "augmentation: {flip: true}", to: text, source: "f").augmentation.rotation == 5)
    let error = #expect(throws: SATError.self) { try ConfigurationFile.apply(setting: "augmentation=blur", to: configuration) }
    #expect(error?.message.contains("none, crop, paper") == true)
  }

  // MARK: Metrics

  @Test func whatIsNotFiniteIsInNoQuantile() {
    var quantiles = SampleQuantiles()
    quantiles.add(Tensor([1, 2, Float.infinity, .nan, 3, -.infinity]))
    #expect(quantiles.take(prefix: "score") == ["score.05": 1, "score.25": 2, "score.50": 2, "score.75": 3, "score.95": 3])
    quantiles.add(Tensor([Float.nan, .infinity]))
    #expect(quantiles.take(prefix: "score").isEmpty)
  }

  /// The training loop turns gradients off; the score turns them on for itself.
  @Test func everyScoreTrains() throws {
    for score in CurvatureScore.allCases {
      let scratch = try TrainingScratch()
      var configuration = try scratch.configuration(method: "h-sat")
      configuration.methodOptions.values["score"] = .text(score.rawValue)
      configuration.epochs = 1
      let trainer = try scratch.trainer(configuration)
      #expect(try trainer.run(observer: Watch()) == .finished, "\(score)")
      #expect(trainer.stepsDone == 5)
    }
  }

  @Test func quantilesAreInterpolated() {
    let quantiles = EpochMetrics.Quantiles([3, 0, 1, 2, 4])
    #expect([quantiles.p05, quantiles.p25, quantiles.p50, quantiles.p75, quantiles.p95] == [0.2, 1, 2, 3, 3.8])
    #expect(EpochMetrics.Quantiles([0.5]).p95 == 0.5)
  }
}
