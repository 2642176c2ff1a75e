internal import Foundation
internal import SwiftTorch

/// Hears what a training run does, to show it.
public protocol TrainingObserver: AnyObject {
  /// A batch is done: its loss, and how far the epoch is.
  func batchDone(epoch: Int, batch: Int, batches: Int, loss: Double)
  /// Validation has begun.
  func validating(epoch: Int)
  func epochDone(_ metrics: EpochMetrics, isBest: Bool)
  func warn(_ message: String)
}

/// Trains a network by a defense into a run folder: data, optimizer, schedules, validation, checkpoints, metrics.
public final class Trainer {
  public let configuration: TrainingConfiguration
  public let folder: RunFolder
  public let network: NetworkClassifier
  public let trainSet: ImageDataset
  public let validationSet: ImageDataset
  private let device: Device
  private let layout: MemoryFormat
  private let defense: any Defense
  private let optimizer: any Optimizer
  private let update: WeightUpdate
  private let learningRates: LearningRateSchedule
  // Separate streams, so that a change of one kind of draw leaves the others as they were.
  private let drawing: Generator
  private let shuffling: Generator
  private let perturbing: Generator
  private var epochsDone = 0
  private var best: TrainingState.Best?
  private var history: [EpochMetrics] = []
  /// Why the defense ended the training before its last epoch.
  private var stopped: String?

  /// Why a run ended.
  public enum Ending: Sendable, Equatable {
    case finished
    /// Asked to stop; this many epochs are in the last checkpoint.
    case interrupted(epochsDone: Int)
  }

  /// Loads the data and makes the network, or takes up a run where its last checkpoint left it.
  ///
  /// - Throws: a sentence when the data, the folder or the checkpoint are not what they should be.
  public init(_ configuration: TrainingConfiguration, dataRoot: DataRoot, folder: RunFolder, resume: Bool) throws {
    self.configuration = try configuration.validated()
    self.folder = folder
    let device = try configuration.execution.prepare()
    self.device = device
    layout = configuration.execution.memoryFormat.format
    (trainSet, validationSet) = try DataSource(configuration.data).loadForTraining(root: dataRoot)

    func stream(_ number: UInt64) -> Generator { Generator(seed: configuration.seed &* 4 &+ number) }
    (drawing, shuffling, perturbing) = (stream(0), stream(1), stream(2))
    let network = NetworkClassifier(
      try configuration.model.make(generator: drawing), architecture: configuration.model,
      normalization: try Normalization.optional(configuration.normalization))
    network.move(to: device)
    network.execution = configuration.execution
    self.network = network
    let model = LoadedModel(
      path: configuration.model.name, classifier: network, inputShape: try configuration.model.inputShape(), wasTraining: false)
    for part in [trainSet, validationSet] {
      try network.withMode(.evaluation) { () throws(SATError) in try model.check(part, device: device) }
    }
    optimizer = Self.makeOptimizer(configuration.optimizer, network.module.parameters)
    learningRates = configuration.learningRateSchedule.schedule(epochs: configuration.epochs)
    update = WeightUpdate(network, optimizer, perturbation: configuration.awp.perturbation)
    defense = try DefenseRegistry.entry(named: configuration.method).make(
      DefenseSettings(
        maximizer: configuration.maximizer, lambda: configuration.lambda, options: configuration.methodOptions,
        trainingSize: trainSet.count))
    if resume { try restore() }
  }

  private static func makeOptimizer(
    _ settings: TrainingConfiguration.OptimizerSettings, _ parameters: [Parameter]
  ) -> any Optimizer {
    switch settings.name {
    case .sgd:
      SGD(
        parameters, learningRate: settings.learningRate, momentum: settings.momentum, weightDecay: settings.weightDecay,
        nesterov: settings.nesterov)
    case .adam: Adam(parameters, learningRate: settings.learningRate, weightDecay: settings.weightDecay)
    }
  }

  private var generators: [(name: String, generator: Generator)] {
    [("drawing", drawing), ("shuffling", shuffling), ("perturbing", perturbing)]
  }

  // MARK: Running

  /// Trains the epochs that are left.
  ///
  /// - Parameter shouldStop: asked after every batch; true ends the run, keeping the last checkpoint.
  /// - Throws: a sentence when the loss is no longer finite or a checkpoint cannot be written; earlier checkpoints are intact.
  public func run(observer: any TrainingObserver, shouldStop: () -> Bool = { false }) throws -> Ending {
    if epochsDone == 0 {
      try folder.create()
      try AtomicFile.write(ConfigurationFile.text(configuration), to: folder.configurationPath)
    }
    for epoch in epochsDone..<max(configuration.epochs, epochsDone) where stopped == nil {
      guard var metrics = try train(epoch, observer, shouldStop) else { return .interrupted(epochsDone: epochsDone) }
      let report = try defense.finishEpoch(epoch, network)
      metrics.method = report.metrics
      stopped = report.stop
      var isBest = false
      if (epoch + 1) % configuration.validation.every == 0 || epoch + 1 == configuration.epochs || stopped != nil {
        observer.validating(epoch: epoch)
        let validation = try validate(observer)
        metrics.validation = validation
        isBest = best.map { validation.robust > $0.validation.robust } ?? true
        if isBest { best = .init(epoch: epoch, validation: validation) }
      }
      history.append(metrics)
      epochsDone = epoch + 1
      try save(isBest: isBest)
      observer.epochDone(metrics, isBest: isBest)
      if let stopped { observer.warn("\(configuration.method) ended the training: \(stopped)") }
    }
    return .finished
  }

  private func train(
    _ epoch: Int, _ observer: any TrainingObserver, _ shouldStop: () -> Bool
  ) throws -> EpochMetrics? {
    let clock = ContinuousClock()
    let start = clock.now
    let order = Tensor.randperm(trainSet.count, generator: shuffling)
    let batches = (trainSet.count + configuration.batchSize - 1) / configuration.batchSize
    var sums = EpochSums()
    optimizer.learningRate = learningRates.rate(configuration.optimizer.learningRate, at: Double(epoch))
    network.module.setTraining(true)
    for batch in 0..<batches {
      if shouldStop() { return nil }
      let range = batch * configuration.batchSize..<min((batch + 1) * configuration.batchSize, trainSet.count)
      let indices = order[range]
      let (images, labels) = trainSet.batch(at: indices)
      let loss = try step(
        .init(images: images.to(device).contiguous(layout), labels: labels.to(device), indices: indices, epoch: epoch), &sums)
      observer.batchDone(epoch: epoch, batch: batch, batches: batches, loss: loss)
    }
    let seconds = (clock.now - start) / .seconds(1)
    return sums.metrics(
      epoch: epoch, lambda: defense.lambda(at: epoch), learningRate: optimizer.learningRate, seconds: seconds)
  }

  /// One update of the weights; returns the loss before it.
  private func step(_ batch: TrainingBatch, _ sums: inout EpochSums) throws -> Double {
    var gradientNorm = 0.0
    update.beforeStep = { [optimizer] in gradientNorm = optimizer.gradientNorm() }
    let outcome = try defense.step(batch, update, generator: perturbing)
    let correct = withNoGrad { outcome.logits.argmax(dim: 1).equal(to: batch.labels).sum().item() }
    sums.add(
      samples: batch.labels.count, loss: outcome.loss, correct: correct, perturbation: outcome.perturbation.sum().item(),
      largest: outcome.perturbation.max().item(), active: outcome.active, gradientNorm: gradientNorm)
    return outcome.loss
  }

  /// Accuracy on the validation set, clean and under the training attack with draws of its own.
  private func validate(_ observer: any TrainingObserver) throws -> EpochMetrics.Validation {
    let attack = PGD(try configuration.maximizer, seed: configuration.seed)
    let evaluation = try network.withFixedWeights(inputShape: validationSet.imageShape) {
      try Evaluator(model: network, data: validationSet, batchSize: configuration.batchSize, device: device, layout: layout)
        .run([attack])
    }
    if Set(evaluation.predictions).count == 1 {
      observer.warn(
        "the network answers \(evaluation.predictions[0]) to every validation image; adversarial training at a large epsilon often "
          + "gets stuck so: try --method p-sat, a smaller epsilon or a lower learning rate")
    }
    let count = Double(validationSet.count)
    return .init(clean: Double(evaluation.cleanCorrect) / count, robust: Double(evaluation.robustCorrect) / count)
  }

  // MARK: Saving and resuming

  private func save(isBest: Bool) throws {
    let state = TrainingState(epochsDone: epochsDone, best: best, lambda: defense.lambda(at: epochsDone - 1), stopped: stopped)
    try folder.save(epoch: epochsDone - 1, as: isBest ? [.last, .best] : [.last]) { path in
      try ModelFile.save(network, to: "\(path)/\(ModelFile.weightsName)")
      try state.write(to: path, optimizer: optimizer, defense: defense, generators: generators)
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let lines = try history.map {
      String(decoding: try encoder.encode(MetricsLine($0, method: configuration.method)), as: UTF8.self) + "\n"
    }
    try AtomicFile.write(lines.joined(), to: folder.metricsPath)
  }

  private func restore() throws {
    let last = folder.folder(of: .last)
    guard FileManager.default.fileExists(atPath: last) else {
      throw SATError("\(folder.path) has no last checkpoint to resume from; start the run without --resume")
    }
    try ModelFile.loadWeights(into: network, from: "\(last)/\(ModelFile.weightsName)")
    let state = try TrainingState.read(from: last, optimizer: optimizer, defense: defense, generators: generators)
    (epochsDone, best, stopped) = (state.epochsDone, state.best, state.stopped)
    let text = String(decoding: try FileBytes.read(folder.metricsPath, expecting: "the run's metrics"), as: UTF8.self)
    for line in text.split(separator: "\n") {
      guard let metrics = try? JSONDecoder().decode(MetricsLine.self, from: Data(line.utf8)).metrics(of: configuration.method) else {
        throw SATError("\(folder.metricsPath) has a line that is not an epoch's metrics; restore it or start the run anew")
      }
      // A run killed between the checkpoint and the metrics, or the other way round, has one line more or less.
      if metrics.epoch < epochsDone { history.append(metrics) }
    }
  }

  /// The best validation so far, and its epoch.
  public var bestValidation: (epoch: Int, validation: EpochMetrics.Validation)? { best.map { ($0.epoch, $0.validation) } }
  /// Epochs in the last checkpoint.
  public var completedEpochs: Int { epochsDone }
}
