import ArgumentParser
import Foundation
import SAT
import SwiftTorch
import Synchronization

/// Handles Ctrl-C and SIGTERM on a thread of its own, so the answer appears at once, however long the current step takes.
///
/// The first signal ends the program with status 130, unless the command can save its work: such a command calls `listen`, finishes
/// its step and stops by itself. The second signal ends the program at once.
enum Interruption {
  private struct Plan {
    /// Says what the first signal does; nil if it ends the program.
    var acknowledgement: String?
    /// Returns what is kept when a signal ends the program.
    var kept: @Sendable () -> String
  }

  private static let requested = Atomic<Bool>(false)
  private static let plan = Mutex(Plan(kept: { "nothing is kept" }))

  /// True after the first signal.
  static var isRequested: Bool { requested.load(ordering: .relaxed) }

  /// Starts the thread that waits for the signals. The program calls this function before anything else, because later threads
  /// inherit the mask that keeps the signals away from them.
  static func begin() {
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in [SIGINT, SIGTERM] { sigaddset(&signals, number) }
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    Thread.detachNewThread { [signals] in
      var (signals, number) = (signals, Int32(0))
      while true { if sigwait(&signals, &number) == 0 { received() } }
    }
  }

  private static func received() {
    let plan = plan.withLock { $0 }
    let isFirst = !requested.exchange(true, ordering: .relaxed)
    if isFirst, let acknowledgement = plan.acknowledgement { return Terminal.standardError.interrupt(acknowledgement) }
    Terminal.standardError.interrupt("interrupted; \(plan.kept())")
    AtomicFile.exitAbandoningAll(status: 130)
  }

  /// Makes the first signal set `isRequested` instead of ending the program.
  ///
  /// `kept` says what the second signal leaves; another thread calls it.
  static func listen(
    _ acknowledgement: String = "finishing this step; press Ctrl-C again to stop without saving it",
    kept: @escaping @Sendable () -> String
  ) {
    plan.withLock { $0 = Plan(acknowledgement: acknowledgement, kept: kept) }
  }

  /// Lets the first signal wait while the command writes its results.
  static func finishing() {
    listen("writing the results; press Ctrl-C again to stop without them") { "some results may not be written; each file is whole" }
  }

  /// Runs a job that the first signal stops. The command then says where the job's work is kept, and ends with status 130.
  ///
  /// `work` and `remedy` are parts of that sentence. `state` is nil if nothing is kept; a signal then ends the program at once.
  static func listening<Result>(
    keeping work: String, in state: String?, otherwise remedy: String, _ job: (ProgressDisplay) throws -> Result
  ) throws -> Result {
    guard let state else {
      plan.withLock { $0 = Plan(kept: { "nothing is kept; \(remedy)" }) }
      defer { Terminal.standardError.endProgress() }
      return try job(ProgressDisplay())
    }
    listen {
      FileManager.default.fileExists(atPath: state)
        ? "the work saved earlier is kept in \(state), and the same command goes on from there"
        : "nothing was saved yet; the same command starts again"
    }
    defer { Terminal.standardError.endProgress() }
    do { return try job(ProgressDisplay()) } catch let stop as JobStopped {
      let done = stop.done.map { " after \($0)" } ?? ""
      Terminal.standardError.warn("interrupted\(done); \(work) kept in \(state), and the same command goes on from there")
      throw ExitCode(130)
    }
  }
}
