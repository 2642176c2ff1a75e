public import SwiftTorch

/// Adversarial training with the radius lambda · epsilon (Table 4, first row).
///
/// Lambda rises over the epochs.
public final class EpsilonSchedule: Defense {
  static let entry = DefenseRegistry.Entry(
    name: "epsilon-schedule", summary: "AT with a radius that grows with lambda (Table 4, first row)", usesLambda: true,
    lambdaText: { "radius \(decimal($0, 2)) epsilon" }, lambdaRange: 0...1,
    adapt: { $0.lambda = .linear(initial: 0, final: 1, start: 0, end: max($0.lambda.lastChange, 1)) }
  ) { EpsilonSchedule($0) }

  private let settings: DefenseSettings

  public init(_ settings: DefenseSettings) { self.settings = settings }

  public func lambda(at epoch: Int) -> Double? { settings.lambda.value(at: epoch) }

  public func step(_ batch: TrainingBatch, _ update: WeightUpdate, generator: Generator) throws -> TrainingOutcome {
    let lambda = settings.lambda.value(at: batch.epoch)
    var maximizer = settings.maximizer
    guard lambda > 0 else { return try update.crossEntropy(batch, .unperturbed(batch, steps: maximizer.steps), maximizer.threat) }
    maximizer.threat = try ThreatModel(norm: maximizer.threat.norm, epsilon: lambda * maximizer.threat.epsilon)
    let examples = try maximizer.examples(update.network, batch, generator: generator)
    return try update.crossEntropy(batch, examples, maximizer.threat)
  }
}
