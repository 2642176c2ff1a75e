public import SwiftTorch

/// H-SAT (Sections 4.2 and 5, Appendix B.3): each PGD step moves only the samples of smallest curvature.
///
/// A step moves round(lambda · B) samples of a batch of B, ranked by the curvature of a sample's loss in the weights. At lambda = 1
/// nothing is ranked and training equals AT bit for bit. At lambda = 0 the network trains on clean images, or with `startAtZero` on
/// the random starts.
public final class HessianSAT: Defense {
  static let entry = DefenseRegistry.Entry(
    name: "h-sat", summary: "Hessian-based SAT: a fraction lambda of each batch moves", usesLambda: true, lambdaRange: 0...1,
    options: [
      .choice(
        "score", CurvatureScore.allCases.map(\.rawValue),
        "estimate of the curvature; paper-upper: Eq. 20, paper-lower: Eq. 19, loss: the loss"),
      .whole("chunk", 32, from: 1, "samples that share one gradient in the estimate (Appendix C.2)"),
      .whole("every", 1, from: 1, "steps from one ranking to the next; the paper ranks at every step"),
      .flag("startAtZero", false, "true: samples keep their random start while lambda is 0"),
    ],
    adapt: { settings in
      // On MNIST the paper uses the same step schedule for both methods; elsewhere H-SAT's linear schedule begins at 0.8 (Fig. 5b).
      guard !["mnist", "digits"].contains(settings.data) else { return }
      settings.lambda = .linear(initial: 0.8, final: 1, start: 0, end: 30)
    }
  ) { HessianSAT($0) }

  private let settings: DefenseSettings
  private let score: CurvatureScore
  private var scores = SampleQuantiles()

  public init(_ settings: DefenseSettings) {
    self.settings = settings
    score = CurvatureScore(rawValue: settings.options.text("score")) ?? .paperUpper
  }

  public func lambda(at epoch: Int) -> Double? { settings.lambda.value(at: epoch) }

  public func step(_ batch: TrainingBatch, _ update: WeightUpdate, generator: Generator) throws -> TrainingOutcome {
    let examples = try examples(update.network, batch, lambda: settings.lambda.value(at: batch.epoch), generator)
    return try update.crossEntropy(batch, examples, settings.maximizer.threat)
  }

  private func examples(
    _ network: NetworkClassifier, _ batch: TrainingBatch, lambda: Double, _ generator: Generator
  ) throws(TorchError) -> InnerMaximizer.Outcome {
    var maximizer = settings.maximizer
    if lambda >= 1 { return try maximizer.examples(network, batch, generator: generator) }
    let count = max(0, Int((lambda * Double(batch.labels.count)).rounded()))
    if count == 0 {
      if lambda <= 0 && !settings.options.flag("startAtZero") { maximizer.start = .clean }
      var examples = InnerMaximizer.Outcome.unperturbed(batch, steps: maximizer.steps)
      examples.images = maximizer.startingPoints(around: batch.images, generator: generator)
      return examples
    }
    let curvature = BatchCurvature(network, score, batch.labels, chunk: settings.options.whole("chunk"), imageGradients: true)
    let curriculum = SmallestCurvature(curvature, count: count, every: settings.options.whole("every")) { [self] in scores.add($0) }
    return try maximizer.examples(network, batch, curriculum, generator: generator)
  }

  public func finishEpoch(_ epoch: Int, _ network: NetworkClassifier) -> EpochReport {
    EpochReport(metrics: scores.take(prefix: "score"))
  }

  public var state: NamedTensors { scores.state }
  public func restore(_ state: NamedTensors) { scores.restore(state) }
}
