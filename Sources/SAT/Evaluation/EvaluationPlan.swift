internal import SwiftTorch

/// Which attacks an evaluation runs, and how.
public struct EvaluationPlan {
  public var attacks: [any Attack]
  /// Each attack on every sample that is right when clean, rather than on what the attacks before it left.
  public var isIndividual: Bool
  /// `compat` runs the attacks on the network as it is, in blocks of the batch size that are cut anew for each.
  public var mode: AttackMode
  /// Whether to ask the model some questions first (see `SanityChecks`).
  public var checks: Bool
  /// Whether the model is meant to be random, as for version `rand`.
  public var expectsRandomness: Bool
  /// What libtorch's own generators, from which archives draw, are started from; nil leaves them alone.
  public var seed: UInt64?

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

  /// Starts libtorch's generators anew, before the clean pass and before every block of an attack's samples, so that neither
  /// earlier work nor a kill in between changes a result.
  ///
  /// In `compat` from the seed itself, as the reference before every batch.
  /// - Parameter sample: the first of the block.
  func startDraws(_ phase: String, sample: Int = 0) throws(TorchError) {
    guard let seed else { return }
    try Torch.manualSeed(mode == .compat ? seed : CounterRandom(seed: seed, sample: sample, attack: phase).seed(0))
  }
}

/// How far an evaluation is.
public struct EvaluationProgress: Sendable {
  /// The attack that is running; "clean" before the first.
  public var phase: String
  /// Samples of this phase that are done, and their number.
  public var done: Int
  public var total: Int
  /// How much of the phase is done, 0…1, the batch under way included.
  public var fraction: Double
  /// Samples still classified correctly, of all that were evaluated.
  public var correct: Int
}

extension JobProgress {
  /// An evaluation's progress, with its numbers as the detail.
  public init(_ evaluation: EvaluationProgress) {
    self.init(
      phase: evaluation.phase, fraction: evaluation.fraction,
      detail: "\(evaluation.done)/\(evaluation.total), \(evaluation.correct) still correct")
  }
}
