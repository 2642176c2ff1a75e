public import SwiftTorch

/// CAT20, customised adversarial training (Cheng et al. 2020): each training sample has its own radius and a smoothed label.
///
/// The attack starts at the clean image and uses r' = min(r + eta, cap). The sample keeps r' if it is still classified correctly
/// there. Its label becomes ỹ = (1 − w)·onehot + w·Dirichlet(1, …, 1), with w proportional to r'. The network minimises
/// r'·relu(max_{j≠y} z_j − z_y + kappa) − ⟨ỹ, log p⟩; the attack maximises −r'·relu(z_y − max_{j≠y} z_j + kappa) − ⟨ỹ, log p⟩.
/// The SAT paper reports that this method masks gradients.
public final class CAT20: Defense {
  static let entry = DefenseRegistry.Entry(
    name: "cat20", summary: "a radius per sample and smoothed labels (Cheng et al. 2020)",
    options: [
      .number("eta", 0.0796875, "growth of the radius per epoch, as a fraction of epsilon (0.0025 at 8/255)"),
      .number("cap", 1.115625, "largest radius, as a fraction of epsilon (0.035 at 8/255)"),
      .number("smoothing", 0.3137, "weight of the random label at radius epsilon (10 · 8/255, rounded)"),
      .number("kappa", 10, "margin of the hinge, in logits"),
      .choice(
        "update", ["paper", "code"], "samples that keep the larger radius; paper: those still right there, code: the others"),
      .choice("hinge", ["mean", "sum"], "reduction of the hinge loss over the batch; the official code: sum"),
    ],
    adapt: { settings in
      // The SAT paper ran the authors' code with its defaults (Appendix A): four stages of 20 epochs, crop and flip, steps of 0.007
      // in the ball of 8/255. docs/paper-map.md lists the differences.
      guard settings.data.hasPrefix("cifar") else { return }
      settings.augmentation = .crop
      settings.stepSize = Fraction(0.007 * (settings.epsilon * 255 / 8))
      settings.epochs = 80
      settings.learningRate = 0.1
      settings.learningRateSchedule = LearningRateSettings(kind: .multiStep, milestones: [20, 40, 60])
      settings.weightDecay = 5e-4
    }
  ) { CAT20($0) }

  private let maximizer: InnerMaximizer
  private let options: MethodOptions
  private let radii: SampleMemory

  public init(_ settings: DefenseSettings) {
    var maximizer = settings.maximizer
    maximizer.start = .clean
    self.maximizer = maximizer
    options = settings.options
    radii = SampleMemory(count: settings.trainingSize)
  }

  public func step(_ batch: TrainingBatch, _ update: WeightUpdate, generator: Generator) throws -> TrainingOutcome {
    let epsilon = maximizer.threat.epsilon
    let old = radii.values(of: batch)
    let tried = (old + options.number("eta") * epsilon).clamped(to: ...(options.number("cap") * epsilon))
    let network = update.network
    let (examples, losses) = try network.withPreparedWeights(for: batch.images) { () throws(TorchError) in
      let classes = try withNoGrad { () throws(TorchError) in try network.logits(batch.images[0..<1]).size(1) }
      let losses = HingeLosses(
        labels: batch.labels, radii: tried, smoothed: smoothedLabels(batch, tried / epsilon, classes, generator),
        kappa: options.number("kappa"), share: options.text("hinge") == "sum" ? 1 / Double(batch.labels.count) : 1)
      let examples = try maximizer(
        network, batch.images, batch.labels, curriculum: SampleLimits(radii: tried), loss: losses.inner, generator: generator)
      let logits = try withNoGrad { () throws(TorchError) in try network.logits(examples.images) }
      let right = logits.classifies(batch.labels)
      let keeps = options.text("update") == "paper" ? right : !right
      radii.set(old.replacing(with: tried, where: keeps), for: batch)
      return (examples, losses)
    }
    return try update(batch, examples, maximizer.threat) { network throws(TorchError) in
      let logits = try network.logits(examples.images)
      return (losses.outer(logits), logits)
    }
  }

  /// Returns ỹ [N, C]. Exponential draws divided by their sum are a draw from Dirichlet(1, …, 1).
  private func smoothedLabels(_ batch: TrainingBatch, _ relative: Tensor, _ classes: Int, _ generator: Generator) -> Tensor {
    let drawn = -(1 - Tensor.rand([batch.labels.count, classes], generator: generator, dtype: batch.images.dtype)).log()
    let dirichlet = (drawn / drawn.sum(dim: 1, keepDim: true)).to(batch.images.device)
    let weight = (relative * options.number("smoothing")).clamped(to: ...1).unsqueezed(dim: 1)
    return batch.labels.oneHot(classes: classes).to(batch.images.dtype) * (1 - weight) + dirichlet * weight
  }

  public func finishEpoch(_ epoch: Int, _ network: NetworkClassifier) -> EpochReport { EpochReport(metrics: radii.metrics) }
  public var state: NamedTensors { radii.state }
  public func restore(_ state: NamedTensors) throws(TorchError) { try radii.restore(state) }
}

/// The losses of a batch for the attack and for the network.
private struct HingeLosses {
  let labels: Tensor
  let radii: Tensor
  let smoothed: Tensor
  let kappa: Double
  /// The weight of a sample's smoothed loss relative to its hinge.
  let share: Double

  /// Returns z_y − max_{j≠y} z_j, [n].
  private func lead(_ logits: Tensor, _ labels: Tensor) -> Tensor {
    let wrong = logits.largestOtherClass(than: labels)
    return (logits.gathered(dim: 1, at: labels.unsqueezed(dim: 1)) - logits.gathered(dim: 1, at: wrong)).squeezed(dim: 1)
  }

  var inner: InnerLoss {
    InnerLoss { logits, samples in
      let hinge = samples.rows(of: radii) * (lead(logits, samples.labels) + kappa).relu()
      let agreement = samples.rows(of: smoothed) * logits.logSoftmax(dim: 1)
      return -(hinge.sum() + share * agreement.sum())
    }
  }

  func outer(_ logits: Tensor) -> Tensor {
    let hinge = radii * (kappa - lead(logits, labels)).relu()
    let agreement = (smoothed * logits.logSoftmax(dim: 1)).sum(dim: 1)
    let total = hinge.sum() - share * agreement.sum()
    return share == 1 ? total / labels.count : total
  }
}
