import SAT

/// Shows an evaluation's progress.
final class EvaluationDisplay {
  private var phase = ""
  private var start = ContinuousClock().now
  /// The fraction at which the phase began. It is above 0 if the evaluation continues a stopped one.
  private var first = 0.0

  func show(_ progress: EvaluationProgress) {
    if progress.phase != phase {
      phase = progress.phase
      start = ContinuousClock().now
      first = progress.fraction
      if progress.fraction < 1 { Terminal.standardError.endProgress() }
    }
    Terminal.standardError.progress(
      progress.phase, fraction: progress.fraction, from: first, since: start,
      detail: "\(progress.done)/\(progress.total), \(progress.correct) still correct")
  }
}
