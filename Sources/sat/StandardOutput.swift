import Foundation
import SAT
import SwiftTorch

/// Standard output, where results go. One that cannot be written there is a failure, so that no script takes it for done.
enum StandardOutput {
  /// Nobody reads any more.
  private struct Unread: Error {}

  /// - Throws: `SATError` in the system's words. When nobody reads any more the program ends without a word, as Unix tools do.
  static func write(_ text: String) throws {
    do { try put(text) } catch { try finish([error]) }
  }

  /// The same for a result that is not all in this text: what is thrown is for `finish`, when the rest is done.
  static func put(_ text: String) throws {
    do {
      try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
    } catch {
      if SystemError.code(error) == EPIPE { throw Unread() }
      throw SATError("the result cannot be written to standard output (\(SystemError.reason(error))); send it to a place that takes it")
    }
  }

  /// - Throws: a sentence for each of what could not be written, if there are any; when it was that nobody reads, and that alone, the
  ///   program ends without a word.
  static func finish(_ failures: [any Error]) throws {
    let told = failures.filter { !($0 is Unread) }
    guard told.isEmpty else {
      if told.count == 1 { throw told[0] }
      throw SATError(told.map { ($0 as? SATError)?.message ?? ($0 as? TorchError)?.message ?? "\($0)" }.joined(separator: "\nsat: "))
    }
    guard !failures.isEmpty else { return }
    signal(SIGPIPE, SIG_DFL)
    raise(SIGPIPE)
    _exit(128 + SIGPIPE)
  }

  /// Sees to it that the numbers of the standard streams are taken, before a file that is opened gets one of them and with it what
  /// is printed: a stream that the parent closed becomes one whose every use fails.
  static func claimDescriptors() {
    for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(descriptor, F_GETFD) == -1 {
      _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
  }
}
