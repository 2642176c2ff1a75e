import SAT

/// Shows an evaluation's progress.
final class EvaluationDisplay {
  private var phase = ""
  private var start = ContinuousClock().now
  /// Where the phase began, which is not at nothing where an earlier run is gone on with.
  private var first = 0.0

  func show(_ progress: EvaluationProgress) {
    if progress.phase != phase {
      (phase, start, first) = (progress.phase, ContinuousClock().now, progress.fraction)
      if progress.fraction < 1 { Terminal.standardError.endProgress() }
    }
    Terminal.standardError.progress(
      progress.phase, fraction: progress.fraction, from: first, since: start,
      detail: "\(progress.done)/\(progress.total), \(progress.correct) still right")
  }
}
