import Foundation
import Synchronization

/// Ctrl-C and SIGTERM: they end the program at once with status 130, or, for a command that listens, are a request to stop at the next
/// good moment, and end it at the second time.
enum Interruption {
  private static let requested = Atomic<Bool>(false)
  private static let isAwaited = Atomic<Bool>(false)

  static var isRequested: Bool { requested.load(ordering: .relaxed) }

  /// From here on the status is 130; to be called first of all.
  static func begin() {
    // What the handler reads has to be there before the first signal.
    isAwaited.store(false, ordering: .relaxed)
    requested.store(false, ordering: .relaxed)
    for number in [SIGINT, SIGTERM] {
      signal(number) { _ in
        let isFirst = !Interruption.requested.exchange(true, ordering: .relaxed)
        if !isFirst || !Interruption.isAwaited.load(ordering: .relaxed) { _exit(130) }
      }
    }
    // A parent may have started this process with its own signals blocked.
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in [SIGINT, SIGTERM] { sigaddset(&signals, number) }
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }

  /// From here on the first signal only sets `isRequested`.
  static func listen() { isAwaited.store(true, ordering: .relaxed) }
}
