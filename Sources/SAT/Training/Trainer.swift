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
  /// The network as it is trained.
  public let network: NetworkClassifier
  public let trainSet: ImageDataset
  public let validationSet: ImageDataset
  let device: Device
  let layout: MemoryFormat
  let defense: any Defense
  let optimizer: any Optimizer
  private let update: WeightUpdate
  let average: WeightAverage?
  private let maximizer: InnerMaximizer
  private let learningRates: LearningRateSchedule
  private let smoothness: SmoothnessTracker?
  // Separate streams, so that a change of one kind of draw leaves the others as they were.
  private let drawing: Generator
  private let shuffling: Generator
  private let perturbing: Generator

  // Where the run is; what a checkpoint keeps.
  var history: [EpochMetrics] = []
  var stepsDone = 0
  var best: TrainingState.Best?
  /// Why the defense ended the training before its last epoch.
  var stopped: String?
  /// The epoch that is trained and not validated yet, while that lasts.
  var pending: EpochMetrics?
  /// The epoch that has begun, while it lasts: the order of its samples, and the sums over the batches so far.
  var current: (order: Tensor, sums: EpochSums)?

  /// Why a run ended.
  public enum Ending: Sendable, Equatable {
    case finished
    /// Asked to stop; the last checkpoint holds everything up to that moment.
    case interrupted
  }

  /// Loads the data and makes the network, or takes up a run where its last checkpoint left it.
  ///
  /// - Throws: a sentence when the data, the folder, the checkpoint or the weights to start from are not what they should be.
  public init(_ configuration: TrainingConfiguration, dataRoot: DataRoot, folder: RunFolder, resume: Bool) throws {
    self.configuration = try configuration.validated()
    self.folder = folder
    let device = try configuration.execution.prepare()
    self.device = device
    layout = configuration.execution.memoryFormat.format
    (trainSet, validationSet) = try DataSource(configuration.data).loadForTraining(root: dataRoot)

    func stream(_ number: UInt64) -> Generator { Generator(seed: configuration.seed, stream: number) }
    (drawing, shuffling, perturbing) = (stream(0), stream(1), stream(2))
    let normalization = try Normalization.optional(configuration.normalization)
    try normalization?.check(configuration.model)
    func make(_ generator: Generator) throws -> NetworkClassifier {
      let network = NetworkClassifier(
        try configuration.model.make(generator: generator), architecture: configuration.model,
        normalization: normalization)
      network.move(to: device)
      network.execution = configuration.execution
      return network
    }
    let network = try make(drawing)
    self.network = network
    average =
      configuration.averaging.kind == .none ? nil : WeightAverage(configuration.averaging, network: try make(Generator(seed: 0)))
    let model = LoadedModel(
      path: configuration.model.name, classifier: network, inputShape: try configuration.model.inputShape(), device: device)
    for part in [trainSet, validationSet] {
      try network.withMode(.evaluation) { () throws(SATError) in try model.check(part) }
    }
    optimizer = Self.makeOptimizer(configuration.optimizer, network.module.parameters)
    learningRates = configuration.learningRateSchedule.schedule(epochs: configuration.epochs)
    update = WeightUpdate(network, optimizer, perturbation: configuration.awp.perturbation)
    maximizer = try configuration.maximizer
    smoothness =
      configuration.smoothness.every == 0
      ? nil
      : try SmoothnessTracker(
        configuration.smoothness, maximizer: maximizer, data: trainSet, device: device, seed: configuration.seed)
    defense = try DefenseRegistry.entry(named: configuration.method).make(
      DefenseSettings(
        maximizer: maximizer, lambda: configuration.lambda, options: configuration.methodOptions, trainingSize: trainSet.count))
    // A run killed before its first checkpoint begins again.
    if resume, try folder.hasCheckpoint {
      try restore()
    } else if configuration.from != "none" {
      try StartingWeights.load(from: configuration.from, into: network)
    }
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

  var generators: [(name: String, generator: Generator)] {
    [("drawing", drawing), ("shuffling", shuffling), ("perturbing", perturbing)]
  }

  /// The network that is validated and kept: the average where there is one.
  var result: NetworkClassifier { average.map { $0.hasBegun ? $0.network : network } ?? network }

  // MARK: Running

  /// Trains what is left of the run.
  ///
  /// - Parameter shouldStop: asked before every batch, and in a validation before every pass; true ends the run with a checkpoint of
  ///   that very moment, or of the moment before the validation.
  /// - Throws: a sentence when the loss is no longer finite or a file cannot be written; earlier checkpoints are intact.
  public func run(observer: any TrainingObserver, shouldStop: @escaping () -> Bool = { false }) throws -> Ending {
    let text = try ConfigurationFile.text(configuration)
    try folder.create()
    let lock = try FolderLock(folder.path, use: "training in")
    defer { withExtendedLifetime(lock) {} }
    folder.removeLeftovers()
    try AtomicFile.write(text, to: folder.configurationPath)
    let logs = try RunLogs(folder, history: history.map(line), stepsDone: configuration.logSteps ? stepsDone : nil)
    if best == nil, history.contains(where: { $0.validation != nil }) {
      observer.warn("\(folder.folder(of: .best)) is gone; the best of the epochs that follow takes its place")
    }
    while pending != nil || history.count < configuration.epochs && stopped == nil {
      let epoch = history.count
      guard var metrics = try pending ?? train(epoch, logs, observer, shouldStop) else { return .interrupted }
      if pending == nil {
        let report = try defense.finishEpoch(epoch, network)
        metrics.method = report.metrics
        stopped = report.stop
        try average?.epochEnded(network, epoch: epoch) { (network) throws(TorchError) in try remakeStatistics(of: network, epoch: epoch) }
        pending = metrics
      }
      var isBest = false
      if (epoch + 1) % configuration.validation.every == 0 || epoch + 1 == configuration.epochs || stopped != nil {
        observer.validating(epoch: epoch)
        guard let validation = try validate(observer, shouldStop) else {
          try save(as: [.last])
          return .interrupted
        }
        metrics.validation = validation
        isBest = best.map { validation.robust > $0.validation.robust } ?? true
        if isBest { best = .init(epoch: epoch, validation: validation) }
      }
      if let smoothness, smoothness.isDue(after: epoch, of: configuration.epochs) || stopped != nil {
        metrics.smoothness = try smoothness.measure(network)
      }
      history.append(metrics)
      pending = nil
      try save(as: isBest ? [.last, .best] : [.last])
      try logs.append(line(metrics))
      observer.epochDone(metrics, isBest: isBest)
      if let stopped { observer.warn("\(configuration.method) ended the training: \(stopped)") }
    }
    return .finished
  }

  /// Said of a run too short for its schedule, which a preset's is when only --epochs is changed; for whoever chose the epochs.
  public var unfinishedSchedule: String? {
    let (lambda, last) = (configuration.lambda, configuration.epochs - 1)
    guard lambda.lastChange > last, lambda.value(at: last) != lambda.value(at: lambda.lastChange) else { return nil }
    let final = lambda.value(at: lambda.lastChange)
    let reached = (last...lambda.lastChange).first { lambda.value(at: $0) == final } ?? lambda.lastChange
    return "lambda is \(significant(lambda.value(at: last))) in the last epoch of this run and comes to \(significant(final)) only in epoch "
      + "\(reached + 1), so the training never meets full perturbations; train longer with --epochs, or let lambda rise earlier, such as by "
      + "--set 'lambda={kind: linear, initial: \(Fraction(lambda.first)), final: \(Fraction(final)), start: 0, end: "
      + "\(max(1, 2 * configuration.epochs / 3))}'"
  }

  func line(_ metrics: EpochMetrics) -> MetricsLine { MetricsLine(metrics, method: configuration.method) }

  /// Trains an epoch, or the rest of one; nil when asked to stop.
  private func train(
    _ epoch: Int, _ logs: RunLogs, _ observer: any TrainingObserver, _ shouldStop: () -> Bool
  ) throws -> EpochMetrics? {
    let clock = ContinuousClock()
    func seconds(since start: ContinuousClock.Instant) -> Double { (clock.now - start) / .seconds(1) }
    var (order, sums) = current ?? (Tensor.randperm(trainSet.count, generator: shuffling), EpochSums())
    let loader = BatchLoader(
      trainSet, batchSize: configuration.batchSize, order: order.array(of: Int.self), augmentation: configuration.augmentation,
      generator: stream(.augmenting, of: epoch), layout: layout, after: sums.batches)
    let batches = loader.batchCount
    func rate(at batch: Int) -> Double {
      let part = configuration.learningRateSchedule.isPerStep ? Double(batch) / Double(batches) : 0
      return learningRates.rate(configuration.optimizer.learningRate, at: Double(epoch) + part)
    }
    network.module.setTraining(true)
    var lastSaved = clock.now
    while true {
      let batch = sums.batches
      current = (order, sums)
      let stops = shouldStop()
      let isDue = batch > 0 && seconds(since: lastSaved) >= configuration.checkpoints.minutes * 60
      if (isDue || stops) && stepsDone > 0 {
        try save(as: [.last])
        lastSaved = clock.now
      }
      if stops { return nil }
      let (start, processorStart) = (clock.now, ProcessorClock.seconds)
      guard let loaded = try loader.next() else { break }
      let data = TrainingBatch(
        images: loaded.images.to(device), labels: loaded.labels.to(device), indices: Tensor(loaded.indices), epoch: epoch)
      sums.dataSeconds += seconds(since: start)
      optimizer.learningRate = rate(at: batch)
      let outcome = try step(data)
      average?.stepTaken(network, epoch: epoch)
      sums.add(outcome, isLate: batch >= batches / 2)
      sums.seconds += seconds(since: start)
      sums.processorSeconds += ProcessorClock.seconds - processorStart
      try logs.append(
        StepMetrics(step: stepsDone, epoch: epoch, loss: outcome.loss, gradientNorm: outcome.gradientNorm, active: outcome.active))
      stepsDone += 1
      observer.batchDone(epoch: epoch, batch: batch, batches: batches, loss: outcome.loss)
    }
    current = nil
    if let answer = sums.constantAnswer {
      observer.warn(
        "the network answered \(answer) to every training image of the second half of epoch \(epoch); \(EpochSums.constantAdvice(configuration.method))")
    }
    return sums.metrics(epoch: epoch, lambda: defense.lambda(at: epoch), learningRate: rate(at: batches - 1))
  }

  private enum EpochStream: UInt64 { case augmenting, perturbingForStatistics }

  /// A stream for one epoch and purpose, a pure function of both: a run that is resumed inside the epoch draws the same, and the draws
  /// of the training do not depend on it.
  private func stream(_ purpose: EpochStream, of epoch: Int) -> Generator {
    // The generator is seeded by the lower half alone, so the epoch has to reach that.
    Generator(seed: configuration.seed, stream: 3 &+ (2 * UInt64(epoch) + purpose.rawValue) &* 0x9E37_79B9_7F4A_7C15)
  }

  /// One update of the weights.
  private func step(_ batch: TrainingBatch) throws -> EpochSums.Batch {
    var gradientNorm = 0.0
    let limit = configuration.optimizer.maxGradientNorm
    update.beforeStep = { [optimizer] in
      gradientNorm = limit > 0 ? optimizer.clipGradientNorm(to: limit) : optimizer.gradientNorm()
      guard gradientNorm.isFinite else { throw SATError.notFinite("norm of the gradients", gradientNorm, batch.epoch) }
    }
    let outcome = try defense.step(batch, update, generator: perturbing)
    return withNoGrad {
      EpochSums.Batch(
        loss: outcome.loss, gradientNorm: gradientNorm, labels: batch.labels.array(of: Int.self),
        predictions: outcome.logits.argmax(dim: 1).array(of: Int.self), perturbation: outcome.perturbation.array(of: Float.self),
        active: outcome.active, gaps: ProbabilityGap.gap(outcome.logits, batch.labels).array(of: Float.self))
    }
  }

  /// Accuracy on the validation set, clean and under the training attack with draws of its own; nil when asked to stop.
  private func validate(_ observer: any TrainingObserver, _ shouldStop: @escaping () -> Bool) throws -> EpochMetrics.Validation? {
    let attack = PGD(maximizer, seed: configuration.seed)
    let network = result
    let evaluation: Evaluation
    do {
      evaluation = try network.withPreparedWeights(inputShape: validationSet.imageShape, precision: configuration.execution.precision) {
        try Evaluator(model: network, data: validationSet, batchSize: configuration.batchSize, device: device, layout: layout)
          .run(EvaluationPlan([attack], checks: false), shouldStop: shouldStop)
      }
    } catch is EvaluationStopped {
      return nil
    }
    if Set(evaluation.predictions).count == 1 {
      observer.warn("the network answers \(evaluation.predictions[0]) to every validation image; \(EpochSums.constantAdvice(configuration.method))")
    }
    let count = Double(validationSet.count)
    return .init(
      clean: Double(evaluation.cleanCorrect) / count, robust: Double(evaluation.robustCorrect) / count, samples: validationSet.count)
  }

  /// BatchNorm's statistics for averaged weights, from the training images in the order of the data.
  private func remakeStatistics(of network: NetworkClassifier, epoch: Int) throws(TorchError) {
    let perturbs = configuration.averaging.statistics == .perturbed
    let generator = stream(.perturbingForStatistics, of: epoch)
    let ranges = (0..<trainSet.count).chunks(of: configuration.batchSize)
    try network.module.remakeBatchStatistics(over: ranges) { range throws(TorchError) in
      let (images, labels) = try trainSet.batch(range)
      let (x, y) = (images.to(device).contiguous(layout), labels.to(device))
      guard perturbs else { return x }
      return try network.withPreparedWeights(inputShape: trainSet.imageShape) { () throws(TorchError) in
        try maximizer(network, x, y, curriculum: FullStrength(), generator: generator).images
      }
    } pass: { images throws(TorchError) in _ = try network.logits(images) }
  }

  /// The best validation so far, and its epoch.
  public var bestValidation: (epoch: Int, validation: EpochMetrics.Validation)? { best.map { ($0.epoch, $0.validation) } }
  /// Epochs that are done.
  public var completedEpochs: Int { history.count }
  /// Whether one more epoch is trained and only its validation is missing.
  public var isAwaitingValidation: Bool { pending != nil }
  /// Batches done of the epoch that has begun.
  public var completedBatches: Int { current?.sums.batches ?? 0 }
}
