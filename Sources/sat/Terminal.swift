import Foundation
import SAT

/// Writes progress to standard error: one redrawn line on a terminal, plain lines every 15 seconds elsewhere.
final class Terminal: @unchecked Sendable {
  static let standardError = Terminal()

  /// The width for tables on standard output: COLUMNS if it is set, else the terminal's; nil in a pipe or file.
  static var outputWidth: Int? {
    if let text = ProcessInfo.processInfo.environment["COLUMNS"], let columns = Int(text), columns > 0 { return columns }
    var size = winsize()
    guard isatty(STDOUT_FILENO) == 1, ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
    return Int(size.ws_col)
  }

  private let isTerminal = isatty(STDERR_FILENO) == 1
  private let usesColor: Bool
  private let clock = ContinuousClock()
  private var lastDrawn: ContinuousClock.Instant?
  private var lineIsOpen = false
  var isQuiet = false

  private init() {
    let environment = ProcessInfo.processInfo.environment
    usesColor = isTerminal && (environment["NO_COLOR"] ?? "").isEmpty && environment["TERM"] != "dumb"
  }

  /// Shows the finished fraction of a task, 0…1, unless it was shown a moment ago.
  ///
  /// The fraction was `first` at `start`, which gives the seconds that remain unless `estimate` does. `isLowerBound` is true if
  /// later steps are slower.
  func progress(
    _ label: String, fraction: Double, from first: Double = 0, since start: ContinuousClock.Instant, left estimate: Double? = nil,
    isLowerBound: Bool = false, detail: String = ""
  ) {
    guard !isQuiet else { return }
    let now = clock.now
    let pause: Duration = isTerminal ? .milliseconds(100) : .seconds(15)
    // A short task writes nothing to a pipe or file.
    guard now - (lastDrawn ?? (isTerminal ? now - pause : start)) >= pause else { return }
    lastDrawn = now
    let elapsed = (now - start) / .seconds(1)
    let left = estimate ?? (fraction > first ? elapsed * (1 - fraction) / (fraction - first) : .infinity)
    let isKnown = left.isFinite && elapsed > 1
    let remaining = isKnown ? "  \(isLowerBound ? "at least " : "")\(Self.clockText(left)) left" : ""
    let percent = percentDone(fraction)
    if isTerminal {
      let width = 24
      let full = Int(Double(width) * fraction)
      let bar = String(repeating: "━", count: full) + String(repeating: "─", count: width - full)
      write("\r\u{1B}[K\(label)  \(usesColor ? "\u{1B}[36m\(bar)\u{1B}[0m" : bar)  \(percent)\(remaining)  \(detail)")
      lineIsOpen = true
    } else {
      write("\(label)  \(percent)\(remaining)  \(detail)\n")
    }
  }

  /// Clears the redrawn line.
  func endProgress() {
    if lineIsOpen { write("\r\u{1B}[K") }
    lineIsOpen = false
    lastDrawn = nil
  }

  /// Writes a line that stays, except under --quiet.
  func line(_ text: String) {
    guard !isQuiet else { return }
    endProgress()
    write(text + "\n")
  }

  /// Writes a warning, even under --quiet.
  func warn(_ text: String) {
    endProgress()
    write((usesColor ? "\u{1B}[33mwarning:\u{1B}[0m " : "warning: ") + text + "\n")
  }

  private func write(_ text: String) { try? FileHandle.standardError.write(contentsOf: Data(text.utf8)) }

  /// Formats seconds as 1:05 or 2:03:20.
  private static func clockText(_ seconds: Double) -> String {
    let total = Int(seconds.rounded())
    let (h, m, s) = (total / 3600, total / 60 % 60, total % 60)
    return h > 0 ? String(format: "%d:%02d:%02d", h, m, s) : String(format: "%d:%02d", m, s)
  }
}

/// Shows a job's progress, phase by phase.
final class ProgressDisplay {
  private var phase = ""
  private var start = ContinuousClock().now
  /// The fraction at which the phase began. It is above 0 if the job continues a stopped one.
  private var first = 0.0

  func show(_ progress: JobProgress) {
    if progress.phase != phase {
      phase = progress.phase
      start = ContinuousClock().now
      first = progress.fraction
      if progress.fraction < 1 { Terminal.standardError.endProgress() }
    }
    Terminal.standardError.progress(progress.phase, fraction: progress.fraction, from: first, since: start, detail: progress.detail)
  }
}
