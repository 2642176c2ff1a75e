public import SwiftTorch

/// IAAT, instance-adaptive adversarial training (Balaji et al. 2019): each training sample has its own radius.
///
/// During a warm-up the radius is epsilon. Afterwards each sample is attacked at its radius r and at r + gamma. The candidate is
/// r + gamma if the sample is still right there, else r if it is still right at r, else r − gamma. It is 0 if the clean sample is
/// wrong. The radius moves a fraction `rate` towards the candidate, and the sample trains at the new radius, with steps of
/// max(2r/K, attack.stepSize).
public final class InstanceAdaptiveAT: Defense {
  static let entry = DefenseRegistry.Entry(
    name: "iaat", summary: "a radius per sample that grows and shrinks (Balaji et al. 2019)",
    options: [
      .whole("warmup", 10, from: 0, "first epochs, trained at epsilon"),
      .number("gamma", 0.2375, "change of the radius to try, as a fraction of epsilon (1.9/255 at 8/255)"),
      .number("rate", 0.1, in: 0...1, "fraction of the way that the radius moves towards its candidate"),
    ], adapt: { if $0.epochs <= 20 { $0.options.values["warmup"] = .number(Fraction(Double($0.epochs / 5))) } }
  ) { InstanceAdaptiveAT($0) }

  private let maximizer: InnerMaximizer
  private let options: MethodOptions
  private let radii: SampleMemory

  public init(_ settings: DefenseSettings) {
    maximizer = settings.maximizer
    options = settings.options
    radii = SampleMemory(count: settings.trainingSize)
  }

  public func step(_ batch: TrainingBatch, _ update: WeightUpdate, generator: Generator) throws -> TrainingOutcome {
    let network = update.network
    let examples = try network.withPreparedWeights(for: batch.images) { () throws(TorchError) in
      let radius = try radius(network, batch, generator)
      radii.set(radius, for: batch)
      return try attack(network, batch, radius, generator)
    }
    return try update.crossEntropy(batch, examples, maximizer.threat)
  }

  /// Returns the new radii of a batch, [N].
  private func radius(_ network: NetworkClassifier, _ batch: TrainingBatch, _ generator: Generator) throws(TorchError) -> Tensor {
    let cleanRight = try right(network, batch.images, batch.labels)
    if batch.epoch < options.whole("warmup") { return cleanRight * maximizer.threat.epsilon }
    let gamma = options.number("gamma") * maximizer.threat.epsilon
    let old = radii.values(of: batch)
    let right = try right(network, attack(network, batch, old, generator).images, batch.labels)
    let rightBeyond = try self.right(network, attack(network, batch, old + gamma, generator).images, batch.labels)
    return withNoGrad {
      let candidate = (old + gamma * (rightBeyond + (1 - rightBeyond) * (right - 1))) * cleanRight
      return old.adding(candidate.clamped(to: 0...) - old, alpha: options.number("rate"))
    }
  }

  private func attack(
    _ network: NetworkClassifier, _ batch: TrainingBatch, _ radius: Tensor, _ generator: Generator
  ) throws(TorchError) -> InnerMaximizer.Outcome {
    let sizes = (radius * (2 / Double(maximizer.steps))).clamped(to: maximizer.stepSize...)
    return try maximizer(
      network, batch.images, batch.labels, curriculum: SampleLimits(radii: radius, stepSizes: sizes), generator: generator)
  }

  /// Returns 1 for each image that is classified correctly and 0 for the others, [N].
  private func right(_ network: NetworkClassifier, _ images: Tensor, _ labels: Tensor) throws(TorchError) -> Tensor {
    try withNoGrad { () throws(TorchError) in try network.logits(images).classifies(labels).to(images.dtype) }
  }

  public func finishEpoch(_ epoch: Int, _ network: NetworkClassifier) -> EpochReport { EpochReport(metrics: radii.metrics) }
  public var state: NamedTensors { radii.state }
  public func restore(_ state: NamedTensors) throws(TorchError) { try radii.restore(state) }
}
