public import SwiftTorch

/// FAT, friendly adversarial training (Zhang et al. 2020): a sample finishes tau steps after it is first misclassified.
///
/// tau is lambda rounded down, and grows over the epochs. P-SAT at lambda = 0 equals FAT at tau = 0.
public final class FriendlyAT: Defense {
  static let entry = DefenseRegistry.Entry(
    name: "fat", summary: "friendly adversarial training (Zhang et al. 2020); lambda is tau", usesLambda: true,
    lambdaText: { "tau \(Int($0))" },
    lambdaRange: 0...Double(Limit.steps.upperBound),
    options: [.number("omega", 0, "standard deviation of the Gaussian noise added to each step; the official code: 0.001")],
    adapt: { settings in
      // The official code raises tau at epochs 50 and 90 of 120.
      let epochs = settings.epochs
      settings.lambda = .step(
        initial: 0, milestones: [.init(epoch: epochs * 50 / 120, value: 1), .init(epoch: epochs * 90 / 120, value: 2)])
    }
  ) { FriendlyAT($0) }

  private let maximizer: InnerMaximizer
  private let schedule: Schedule

  public init(_ settings: DefenseSettings) {
    var maximizer = settings.maximizer
    maximizer.noise = settings.options.number("omega")
    self.maximizer = maximizer
    schedule = settings.lambda
  }

  public func lambda(at epoch: Int) -> Double? { schedule.value(at: epoch) }

  public func step(_ batch: TrainingBatch, _ update: WeightUpdate, generator: Generator) throws -> TrainingOutcome {
    let curriculum = MisclassificationCount(tolerance: Int(schedule.value(at: batch.epoch)))
    let examples = try maximizer.examples(update.network, batch, curriculum, generator: generator)
    return try update.crossEntropy(batch, examples, maximizer.threat)
  }
}
