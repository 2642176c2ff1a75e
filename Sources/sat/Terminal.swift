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
  private var hasWritten = false
  /// Held while a line is drawn, because the thread that answers signals draws too.
  private let lock = NSLock()
  var isQuiet = false

  private init() {
    let environment = ProcessInfo.processInfo.environment
    usesColor = isTerminal && (environment["NO_COLOR"] ?? "").isEmpty && environment["TERM"] != "dumb"
  }

  /// Shows the finished fraction of a task, 0…1, unless it was shown a moment ago.
  ///
  /// `left` are the seconds that remain; nil if unknown. `mayEndEarly` is true if they are an upper bound.
  func progress(
    _ label: String, fraction: Double, since start: ContinuousClock.Instant, left: Double?, mayEndEarly: Bool = false,
    detail: String = ""
  ) {
    guard !isQuiet else { return }
    let now = clock.now
    let pause: Duration = isTerminal ? .milliseconds(100) : .seconds(15)
    lock.lock()
    defer { lock.unlock() }
    // A short task writes nothing to a pipe or file.
    guard now - (lastDrawn ?? (isTerminal ? now - pause : start)) >= pause else { return }
    lastDrawn = now
    let elapsed = (now - start) / .seconds(1)
    let known = left.flatMap { elapsed > 1 && $0.isFinite ? $0 : nil }
    let remaining = known.map { "  \(mayEndEarly ? "at most " : "")\(Self.clockText($0)) left" } ?? ""
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

  /// Writes a line in a second, unless another line has appeared or the program has ended by then.
  ///
  /// A short command stays silent, and a long one says what it does even while it reads large files.
  func announce(_ text: String) {
    Thread.detachNewThread {
      Thread.sleep(forTimeInterval: 1)
      self.lock.withLock { if !self.hasWritten && !self.isQuiet { self.write(text + "\n") } }
    }
  }

  /// Clears the redrawn line.
  func endProgress() { lock.withLock { clear() } }

  private func clear() {
    if lineIsOpen { write("\r\u{1B}[K") }
    lineIsOpen = false
    lastDrawn = nil
  }

  /// Writes a line that stays, except under --quiet.
  func line(_ text: String) {
    guard !isQuiet else { return }
    lock.withLock {
      clear()
      write(text + "\n")
    }
  }

  /// Writes a warning, even under --quiet.
  func warn(_ text: String) { lock.withLock { writeWarning(text) } }

  /// Writes the answer to a signal. It skips the answer if nobody reads standard error, so the next signal is not held up.
  func interrupt(_ text: String) {
    var standardError = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
    guard poll(&standardError, 1, 100) > 0 else { return }
    let isAlone = lock.lock(before: Date(timeIntervalSinceNow: 0.2))
    defer { if isAlone { lock.unlock() } }
    // A terminal has just shown ^C in the redrawn line.
    if isTerminal && !lineIsOpen { write("\r") }
    writeWarning(text)
  }

  private func writeWarning(_ text: String) {
    clear()
    write((usesColor ? "\u{1B}[33mwarning:\u{1B}[0m " : "warning: ") + text + "\n")
  }

  private func write(_ text: String) {
    hasWritten = true
    try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
  }

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
  private var start = ContinuousClock.now
  private var remaining = RemainingTime()

  func show(_ progress: JobProgress) {
    if progress.phase != phase {
      phase = progress.phase
      start = .now
      remaining = RemainingTime()
      if progress.fraction < 1 { Terminal.standardError.endProgress() }
    }
    remaining.record(progress.fraction, at: (.now - start) / .seconds(1))
    Terminal.standardError.progress(
      progress.phase, fraction: progress.fraction, since: start, left: remaining.left, mayEndEarly: progress.mayEndEarly,
      detail: progress.detail)
  }
}
