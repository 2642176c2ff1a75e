public import SwiftTorch

/// Fast AT (Wong et al. 2020): one step of 1.25 · epsilon from a random start, with a guard against catastrophic overfitting.
///
/// Within an epoch the network can become right on one-step examples and wrong under other attacks. After each epoch the guard
/// attacks the epoch's first batch by PGD. If the accuracy fell by more than `fall` in one epoch, the guard restores the previous
/// epoch's weights and ends training.
public final class FastAT: Defense {
  static let entry = DefenseRegistry.Entry(
    name: "fast-at", summary: "one step, with a guard against catastrophic overfitting (Wong et al. 2020)", usesAttack: false,
    options: [
      .number("step", 1.25, "length of the step, as a fraction of epsilon"),
      .flag("guard", true, "true: training ends when the network overfits to single steps"),
      .number("fall", 0.2, in: 0...1, "fall of the accuracy under PGD, in one epoch, that ends training"),
      .whole("guardSteps", 5, from: 1, "number of steps of the guard's PGD, each epsilon/4 long"),
    ],
    adapt: { settings in
      // The paper's learning rate rises and falls once. On CIFAR the paper trains 15 epochs with a rate of at most 0.2.
      settings.learningRateSchedule = LearningRateSettings(kind: .cyclic)
      guard settings.data.hasPrefix("cifar") else { return }
      settings.epochs = 15
      settings.learningRate = 0.2
    }
  ) { FastAT($0) }

  private let maximizer: InnerMaximizer
  private let options: MethodOptions
  private var firstBatch: TrainingBatch?
  private var before: (accuracy: Double, weights: NamedTensors)?

  public init(_ settings: DefenseSettings) {
    options = settings.options
    let threat = settings.maximizer.threat
    maximizer = InnerMaximizer(threat: threat, steps: 1, stepSize: settings.options.number("step") * threat.epsilon)
  }

  public func step(_ batch: TrainingBatch, _ update: WeightUpdate, generator: Generator) throws -> TrainingOutcome {
    if firstBatch?.epoch != batch.epoch { firstBatch = batch }
    let examples = try maximizer.examples(update.network, batch, generator: generator)
    return try update.crossEntropy(batch, examples, maximizer.threat)
  }

  public func finishEpoch(_ epoch: Int, _ network: NetworkClassifier) throws -> EpochReport {
    guard options.flag("guard"), let batch = firstBatch else { return EpochReport() }
    firstBatch = nil
    let accuracy = try guardedAccuracy(network, batch)
    let metrics = ["guard.accuracy": accuracy]
    if let before, accuracy < before.accuracy - options.number("fall") {
      try network.module.loadStateDict(before.weights, source: "the guard's copy of the weights")
      return EpochReport(
        metrics: metrics,
        stop: "accuracy under PGD fell from \(percent(before.accuracy, 1)) to \(percent(accuracy, 1)) in epoch \(epoch + 1), which "
          + "is catastrophic overfitting; the guard restored the previous epoch's weights")
    }
    before = (accuracy, withNoGrad { network.module.stateDict.map { ($0.name, $0.tensor.cloned()) } })
    return EpochReport(metrics: metrics)
  }

  private func guardedAccuracy(_ network: NetworkClassifier, _ batch: TrainingBatch) throws -> Double {
    let threat = maximizer.threat
    let attack = InnerMaximizer(threat: threat, steps: options.whole("guardSteps"), stepSize: threat.epsilon / 4)
    // The guard has its own generator, so its draws do not change training.
    let generator = Generator(seed: UInt64(batch.epoch))
    return try network.withPreparedWeights(for: batch.images) { () throws(TorchError) in
      let outcome = try attack(network, batch.images, batch.labels, curriculum: UntilMisclassified(), generator: generator)
      let logits = try withNoGrad { () throws(TorchError) in try network.logits(outcome.images) }
      return logits.classifies(batch.labels).to(.float64).mean().item()
    }
  }

  public var state: NamedTensors {
    var state: NamedTensors = []
    if let firstBatch {
      state += [("guard.images", firstBatch.images), ("guard.labels", firstBatch.labels), ("guard.indices", firstBatch.indices)]
      state.append(("guard.epoch", Tensor(firstBatch.epoch)))
    }
    guard let before else { return state }
    return state + [("guard.accuracy", Tensor(before.accuracy))] + before.weights.map { ("guard.weights.\($0.name)", $0.tensor) }
  }

  public func restore(_ state: NamedTensors) throws(TorchError) {
    func saved(_ name: String) -> Tensor? { state.first { $0.name == "guard.\(name)" }?.tensor }
    if let images = saved("images"), let labels = saved("labels"), let indices = saved("indices") {
      firstBatch = TrainingBatch(
        images: images, labels: labels, indices: indices, epoch: Int(try state.required("guard.epoch", shape: []).item()))
    }
    if let accuracy = saved("accuracy") { before = (accuracy.item(), state.part("guard.weights")) }
  }
}
