public import SwiftTorch

/// CAT18, curriculum adversarial training (Cai et al. 2018): the number k of PGD steps grows, and every batch mixes strengths. Lambda is k.
///
/// A batch is cut into k + 1 parts, part j attacked with j steps of (2·eps/j)·U between 1 and 10/j. k starts at 0 and grows by one, up to
/// `attack.steps`, after an epoch whose training accuracy is above `accuracy`, or after `patience` epochs. The quantisation of
/// inputs that the authors add at test time is left out: it is not differentiable and hides the gradient.
public final class CAT18: Defense {
  static let entry = DefenseRegistry.Entry(
    name: "cat18", summary: "a growing number of steps, mixed in a batch (Cai et al. 2018)",
    options: [
      .number("accuracy", 0.95, in: 0...1, "training accuracy above which the next number of steps begins"),
      .whole("patience", 10, from: 1, "epochs after which it begins anyway"),
      .flag("mixing", true, "whether a batch mixes 0 to k steps; false: k steps for all"),
    ]
  ) { CAT18($0) }

  private let maximizer: InnerMaximizer
  private let accuracy: Double
  private let patience: Int
  private let isMixing: Bool
  private var steps = 0
  private var epochsSince = 0
  /// Samples of the epoch so far, and those that were right.
  private var seen = (samples: 0, right: 0)

  public init(_ settings: DefenseSettings) {
    maximizer = settings.maximizer
    accuracy = settings.options.number("accuracy")
    patience = settings.options.whole("patience")
    isMixing = settings.options.flag("mixing")
  }

  /// Goes on with `steps` steps from now.
  func begin(steps: Int) { (self.steps, epochsSince) = (steps, 0) }

  /// k as it is now, whatever the epoch: it depends on how training went.
  public func lambda(at epoch: Int) -> Double? { Double(steps) }

  public func step(_ batch: TrainingBatch, _ update: WeightUpdate, generator: Generator) throws -> TrainingOutcome {
    let examples = try maximizer.examples(update.network, batch, limits(batch, generator), generator: generator)
    let outcome = try update.crossEntropy(batch, examples, maximizer.threat)
    seen.samples += batch.labels.count
    seen.right += Int(withNoGrad { outcome.logits.argmax(dim: 1).equal(to: batch.labels).sum().item() })
    return outcome
  }

  private func limits(_ batch: TrainingBatch, _ generator: Generator) -> SampleLimits {
    let n = batch.labels.count
    let counts = (0..<n).map { isMixing ? min($0 / max(n / (steps + 1), 1), steps) : steps }
    let drawn = Tensor.rand([steps + 1], generator: generator, dtype: .float64).array(of: Double.self)
    let sizes = (0...steps).map { j in
      j == 0 ? 0 : 2 * maximizer.threat.epsilon / Double(j) * (1 + (10 / Double(j) - 1) * drawn[j])
    }
    func place(_ values: [Double]) -> Tensor { Tensor(values).to(batch.images.dtype).to(batch.images.device) }
    return SampleLimits(
      radii: place(counts.map { $0 == 0 ? 0 : maximizer.threat.epsilon }), stepSizes: place(counts.map { sizes[$0] }),
      stepCounts: Tensor(counts).to(batch.images.device))
  }

  public func finishEpoch(_ epoch: Int, _ network: NetworkClassifier) -> EpochReport {
    let reached = seen.samples == 0 ? 0 : Double(seen.right) / Double(seen.samples)
    seen = (0, 0)
    let report = EpochReport(metrics: ["steps": Double(steps), "accuracy": reached])
    epochsSince += 1
    if steps < maximizer.steps, reached > accuracy || epochsSince >= patience { begin(steps: steps + 1) }
    return report
  }

  public var state: NamedTensors { [("progress", Tensor([steps, epochsSince, seen.samples, seen.right]))] }

  public func restore(_ state: NamedTensors) throws(TorchError) {
    let progress = try state.required("progress", shape: [4]).array(of: Int.self)
    steps = progress[0]
    epochsSince = progress[1]
    seen = (progress[2], progress[3])
  }
}
