internal import SwiftTorch

/// The receiver of a training run's progress.
public protocol TrainingObserver: AnyObject {
  /// Called after each batch, with its loss and its number in the epoch.
  func batchDone(epoch: Int, batch: Int, batches: Int, loss: Double)
  /// Called when a part of a batch, a validation or a measurement is done, with its name and the finished fraction, 0…1.
  func progressed(_ part: String, epoch: Int, to fraction: Double)
  func validating(epoch: Int)
  func epochDone(_ metrics: EpochMetrics, isBest: Bool)
  func warn(_ message: String)
}

extension TrainingObserver {
  public func progressed(_ part: String, epoch: Int, to fraction: Double) {}
}

/// Trains a network with a defense and writes the run folder: metrics, checkpoints and logs.
public final class Trainer {
  public let configuration: TrainingConfiguration
  public let folder: RunFolder
  public let network: NetworkClassifier
  public let trainSet: ImageDataset
  public let validationSet: ImageDataset
  let device: Device
  let layout: MemoryFormat
  let defense: any Defense
  let optimizer: any Optimizer
  let update: WeightUpdate
  let average: WeightAverage?
  let maximizer: InnerMaximizer
  let learningRates: LearningRateSchedule
  private let smoothness: SmoothnessTracker?
  // Each kind of draw has its own stream, so a change in one kind leaves the others unchanged.
  private let drawing: Generator
  let shuffling: Generator
  let perturbing: Generator

  /// The progress of the run, which a checkpoint saves.
  var state: TrainingState
  /// The attack's steps in the last batch, each weighted by the fraction of samples that it moved; nil before the first batch.
  public internal(set) var activeSteps: Double?
  /// The current epoch's order of samples; nil between epochs.
  var order: Tensor?

  /// The way in which a training ends.
  public enum Ending: Sendable, Equatable {
    case finished
    /// The caller asked to stop; the last checkpoint holds everything up to that moment.
    case interrupted
  }

  /// Loads the data and makes the network, or resumes a run from its last checkpoint.
  ///
  /// - Throws: `SATError` when the data, the folder, the checkpoint or the starting weights are missing or do not fit.
  public init(_ configuration: TrainingConfiguration, dataRoot: DataRoot, folder: RunFolder, resume: Bool) throws {
    self.configuration = try configuration.validated()
    self.folder = folder
    device = try configuration.execution.prepare()
    layout = configuration.execution.memoryFormat.format
    (trainSet, validationSet) = try DataSource(configuration.data).loadForTraining(
      root: dataRoot, reading: ImageReading(modelShape: try configuration.model.inputShape()))
    drawing = Generator(seed: configuration.seed, stream: 0)
    shuffling = Generator(seed: configuration.seed, stream: 1)
    perturbing = Generator(seed: configuration.seed, stream: 2)
    network = try Self.makeNetwork(configuration, on: device, drawing)
    average =
      configuration.averaging.kind == .none
      ? nil : WeightAverage(configuration.averaging, network: try Self.makeNetwork(configuration, on: device, Generator(seed: 0)))
    try Self.check(network, takes: [trainSet, validationSet], on: device)
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
    state = TrainingState(
      configuration: configuration, trainingImages: trainSet.count, dataFingerprint: trainSet.fingerprint)
    // A run without a checkpoint starts from the beginning.
    if resume, try folder.hasCheckpoint {
      try restore()
    } else if configuration.from != "none" {
      try StartingWeights.load(from: configuration.from, into: network)
    }
  }

  private static func makeNetwork(
    _ configuration: TrainingConfiguration, on device: Device, _ generator: Generator
  ) throws -> NetworkClassifier {
    let normalization = try Normalization.optional(configuration.normalization)
    try normalization?.check(configuration.model)
    let network = NetworkClassifier(
      try configuration.model.make(generator: generator), architecture: configuration.model, normalization: normalization)
    network.move(to: device)
    network.execution = configuration.execution
    return network
  }

  /// Throws `SATError` when the network does not accept a data set's images, or has fewer classes.
  private static func check(_ network: NetworkClassifier, takes sets: [ImageDataset], on device: Device) throws(SATError) {
    let model = LoadedModel(
      path: network.architecture.name, classifier: network, inputShape: try network.architecture.inputShape(), device: device)
    for data in sets { try network.withMode(.evaluation) { () throws(SATError) in try model.check(data) } }
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

  /// The network that is validated and saved: the average if there is one, else the trained network.
  var result: NetworkClassifier { average.map { $0.hasBegun ? $0.network : network } ?? network }

  // MARK: Running

  /// Trains the rest of the run and tells the observer about it.
  ///
  /// The trainer asks `shouldStop` before every batch and every pass of a validation. True ends the run with a checkpoint of this
  /// moment, or of the moment before the validation.
  /// - Throws: `SATError` when the loss is not finite or a file cannot be written; earlier checkpoints stay valid.
  public func run(observer: any TrainingObserver, shouldStop: @escaping () -> Bool = { false }) throws -> Ending {
    let text = try ConfigurationFile.text(configuration)
    try folder.create()
    let lock = try PathLock(folder: folder.path, use: "training in")
    defer { withExtendedLifetime(lock) {} }
    folder.removeLeftovers()
    try AtomicFile.write(text, to: folder.configurationPath)
    let logs = try RunLogs(folder, history: state.history, stepsDone: configuration.logSteps ? state.stepsDone : nil)
    if state.best == nil, state.history.contains(where: { $0.validation != nil }) {
      observer.warn("\(folder.folder(of: .best)) is gone; the best of the following epochs takes its place")
    }
    while state.pending != nil || state.history.count < configuration.epochs && state.stopped == nil {
      guard var metrics = try state.pending ?? finishedEpoch(logs, observer, shouldStop) else { return .interrupted }
      let epoch = state.history.count
      var isBest = false
      if (epoch + 1) % configuration.validation.every == 0 || epoch + 1 == configuration.epochs || state.stopped != nil {
        observer.validating(epoch: epoch)
        guard let validation = try validate(observer, shouldStop) else {
          try save(as: [.last])
          return .interrupted
        }
        metrics.validation = validation
        isBest = state.best.map { validation.robust > $0.validation.robust } ?? true
        if isBest { state.best = .init(epoch: epoch, validation: validation) }
      }
      if let smoothness, smoothness.isDue(after: epoch, of: configuration.epochs) || state.stopped != nil {
        observer.progressed("measuring smoothness", epoch: epoch, to: 0)
        metrics.smoothness = try smoothness.measure(network)
      }
      state.history.append(metrics)
      state.pending = nil
      try save(as: isBest ? [.last, .best] : [.last])
      try logs.append(metrics)
      observer.epochDone(metrics, isBest: isBest)
      if let stopped = state.stopped { observer.warn("\(configuration.method) ended the training: \(stopped)") }
    }
    return .finished
  }

  /// Trains the next epoch, or the rest of it, and lets defense and average finish it; returns nil when `shouldStop` returned true.
  private func finishedEpoch(_ logs: RunLogs, _ observer: any TrainingObserver, _ shouldStop: () -> Bool) throws -> EpochMetrics? {
    let epoch = state.history.count
    guard var metrics = try train(epoch, logs, observer, shouldStop) else { return nil }
    let report = try defense.finishEpoch(epoch, network)
    metrics.methods = report.metrics.isEmpty ? [:] : [configuration.method: report.metrics]
    state.stopped = report.stop
    try average?.epochEnded(network, epoch: epoch) { network throws(TorchError) in
      try remakeStatistics(of: network, epoch: epoch)
    }
    state.pending = metrics
    return metrics
  }

  /// A warning for a run that ends before lambda's schedule does, such as after a change of only --epochs; nil for the others.
  public var unfinishedSchedule: String? {
    let (lambda, last) = (configuration.lambda, configuration.epochs - 1)
    guard lambda.lastChange > last, lambda.value(at: last) != lambda.value(at: lambda.lastChange) else { return nil }
    let final = lambda.value(at: lambda.lastChange)
    let reached = (last...lambda.lastChange).first { lambda.value(at: $0) == final } ?? lambda.lastChange
    return
      "lambda is \(significant(lambda.value(at: last))) in the last epoch of this run and comes to \(significant(final)) only in "
      + "epoch \(reached + 1). The training never sees full perturbations. Train longer with --epochs, or let lambda rise earlier "
      + "with --set 'lambda={kind: linear, initial: \(Fraction(lambda.first)), final: \(Fraction(final)), start: 0, "
      + "end: \(max(1, 2 * configuration.epochs / 3))}'"
  }

  public var bestValidation: (epoch: Int, validation: EpochMetrics.Validation)? { state.best.map { ($0.epoch, $0.validation) } }
  var history: [EpochMetrics] { state.history }
  var stepsDone: Int { state.stepsDone }
  public var completedEpochs: Int { history.count }
  /// True if the next epoch is trained and only its validation is missing.
  public var isAwaitingValidation: Bool { state.pending != nil }
  /// The number of finished batches in the current epoch.
  public var completedBatches: Int { state.epoch?.batches ?? 0 }
}
