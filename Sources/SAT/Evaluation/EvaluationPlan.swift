internal import SwiftTorch

/// The attacks of an evaluation, and how they run.
public struct EvaluationPlan {
  public var attacks: [any Attack]
  /// True to run each attack on every sample that is correct when clean, not only on the samples that earlier attacks left.
  public var isIndividual: Bool
  /// The mode. `compat` runs each attack on the network itself and splits the open samples into batches again for each attack.
  public var mode: AttackMode
  /// True to test the model before the attacks (see `SanityChecks`).
  public var checks: Bool
  /// True if the model is meant to be random, as for version `rand`.
  public var expectsRandomness: Bool

  public init(
    _ attacks: [any Attack], isIndividual: Bool = false, mode: AttackMode = .fast, checks: Bool = true,
    expectsRandomness: Bool = false
  ) {
    self.attacks = attacks
    self.isIndividual = isIndividual
    self.mode = mode
    self.checks = checks
    self.expectsRandomness = expectsRandomness
  }
}

/// How far an evaluation is.
public struct EvaluationProgress: Sendable {
  /// The name of the running attack; "clean" for the clean pass.
  public var phase: String
  /// The number of finished samples of this phase.
  public var done: Int
  public var total: Int
  /// The finished fraction of the phase, 0…1, including the current batch.
  public var fraction: Double
  /// The number of samples that are still classified correctly.
  public var correct: Int
}

extension JobProgress {
  /// Makes a job's progress from an evaluation's, with its numbers as the detail.
  public init(_ evaluation: EvaluationProgress) {
    self.init(
      phase: evaluation.phase, fraction: evaluation.fraction,
      detail: "\(evaluation.done)/\(evaluation.total), \(evaluation.correct) still correct")
  }
}
