import SAT

/// Shows a job's progress, phase by phase.
final class ProgressDisplay {
  private var phase = ""
  private var start = ContinuousClock().now
  /// The fraction at which the phase began. It is above 0 if the job continues a stopped one.
  private var first = 0.0

  func show(_ progress: JobProgress) {
    if progress.phase != phase {
      (phase, start, first) = (progress.phase, ContinuousClock().now, progress.fraction)
      if progress.fraction < 1 { Terminal.standardError.endProgress() }
    }
    Terminal.standardError.progress(progress.phase, fraction: progress.fraction, from: first, since: start, detail: progress.detail)
  }
}
