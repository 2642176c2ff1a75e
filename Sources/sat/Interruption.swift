import ArgumentParser
import Foundation
import SAT
import Synchronization

/// Handles Ctrl-C and SIGTERM, which end the program at once with status 130.
///
/// A command that calls `listen` stops by itself after the first signal; the second signal ends the program at once.
enum Interruption {
  private static let requested = Atomic<Bool>(false)
  private static let isListening = Atomic<Bool>(false)

  /// True after the first signal.
  static var isRequested: Bool { requested.load(ordering: .relaxed) }

  /// Installs the signal handlers. The program calls this function before anything else.
  static func begin() {
    // Static variables are created at first use, which must not happen inside a signal handler.
    isListening.store(false, ordering: .relaxed)
    requested.store(false, ordering: .relaxed)
    for number in [SIGINT, SIGTERM] {
      signal(number) { _ in
        let isFirst = !Interruption.requested.exchange(true, ordering: .relaxed)
        if !isFirst || !Interruption.isListening.load(ordering: .relaxed) { _exit(130) }
      }
    }
    // A parent may have started this process with its own signals blocked.
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in [SIGINT, SIGTERM] { sigaddset(&signals, number) }
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }

  /// Makes the first signal set `isRequested` instead of ending the program.
  static func listen() { isListening.store(true, ordering: .relaxed) }

  /// Runs a job that the first signal stops. The command then says where the job's work is kept, and ends with status 130.
  ///
  /// `work` and `remedy` are parts of that sentence. `state` is nil if nothing is kept.
  static func listening<Result>(
    keeping work: String, in state: String?, otherwise remedy: String, _ job: (ProgressDisplay) throws -> Result
  ) throws -> Result {
    listen()
    defer { Terminal.standardError.endProgress() }
    do { return try job(ProgressDisplay()) } catch let stop as JobStopped {
      let done = stop.done.map { " after \($0)" } ?? ""
      let kept = state.map { "\(work) kept in \($0), and the same command goes on from there" } ?? "nothing is kept; \(remedy)"
      Terminal.standardError.warn("interrupted\(done); \(kept)")
      throw ExitCode(130)
    }
  }
}
