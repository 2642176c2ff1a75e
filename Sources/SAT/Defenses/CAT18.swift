public import SwiftTorch

/// CAT18, curriculum adversarial training (Cai et al. 2018): the number k of PGD steps grows, and each batch mixes strengths.
///
/// Lambda is k. A batch has k + 1 parts. Part j takes j steps of length (2·eps/j)·U, with U uniform between 1 and 10/j. k starts at
/// 0 and grows by one, up to `attack.steps`, after an epoch with a training accuracy above `accuracy`, or after `patience` epochs.
/// The authors also quantise inputs at test time. This code does not, because quantisation hides the gradient from attacks.
public final class CAT18: Defense {
  static let entry = DefenseRegistry.Entry(
    name: "cat18", summary: "a growing number of steps, mixed in each batch (Cai et al. 2018)",
    options: [
      .number("accuracy", 0.95, in: 0...1, "training accuracy that adds one step"),
      .whole("patience", 10, from: 1, "epochs after which one step is added at any accuracy"),
      .flag("mixing", true, "true: a batch mixes 0 to k steps; false: all samples take k steps"),
    ]
  ) { CAT18($0) }

  private let maximizer: InnerMaximizer
  private let options: MethodOptions
  private var steps = 0
  private var epochsSince = 0
  /// The number of samples in this epoch so far, and how many were classified correctly.
  private var seen = (samples: 0, right: 0)

  public init(_ settings: DefenseSettings) {
    maximizer = settings.maximizer
    options = settings.options
  }

  /// Sets k to `steps` and restarts the count of epochs.
  func begin(steps: Int) {
    self.steps = steps
    epochsSince = 0
  }

  /// Returns the current k for any epoch, because k depends on the training so far.
  public func lambda(at epoch: Int) -> Double? { Double(steps) }

  public func step(_ batch: TrainingBatch, _ update: WeightUpdate, generator: Generator) throws -> TrainingOutcome {
    let examples = try maximizer.examples(update.network, batch, limits(batch, generator), generator: generator)
    let outcome = try update.crossEntropy(batch, examples, maximizer.threat)
    seen.samples += batch.labels.count
    seen.right += Int(withNoGrad { outcome.logits.classifies(batch.labels).sum().item() })
    return outcome
  }

  private func limits(_ batch: TrainingBatch, _ generator: Generator) -> SampleLimits {
    let n = batch.labels.count
    let isMixing = options.flag("mixing")
    let counts = (0..<n).map { isMixing ? min($0 / max(n / (steps + 1), 1), steps) : steps }
    let drawn = Tensor.rand([steps + 1], generator: generator, dtype: .float64).array(of: Double.self)
    let epsilon = maximizer.threat.epsilon
    let sizes = (0...steps).map { j in j == 0 ? 0 : 2 * epsilon / Double(j) * (1 + (10 / Double(j) - 1) * drawn[j]) }
    func place(_ values: [Double]) -> Tensor { Tensor(values).to(batch.images.dtype).to(batch.images.device) }
    return SampleLimits(
      radii: place(counts.map { $0 == 0 ? 0 : epsilon }), stepSizes: place(counts.map { sizes[$0] }),
      stepCounts: Tensor(counts).to(batch.images.device))
  }

  public func finishEpoch(_ epoch: Int, _ network: NetworkClassifier) -> EpochReport {
    let reached = seen.samples == 0 ? 0 : Double(seen.right) / Double(seen.samples)
    seen = (0, 0)
    let report = EpochReport(metrics: ["steps": Double(steps), "accuracy": reached])
    epochsSince += 1
    let isDue = reached > options.number("accuracy") || epochsSince >= options.whole("patience")
    if steps < maximizer.steps, isDue { begin(steps: steps + 1) }
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
