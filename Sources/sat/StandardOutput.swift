import Foundation
import SAT
import SwiftTorch

/// Standard output, which receives results. A result that cannot be written is a failure, so no script takes it for success.
enum StandardOutput {
  private struct ReaderGone: Error {}

  /// Writes the whole result. Ends the program without a message if the reader of a pipe has gone, as Unix tools do.
  ///
  /// - Throws: `SATError` with the system's reason.
  static func write(_ text: String) throws { do { try writePart(text) } catch { try finish([error]) } }

  /// Writes one part of a result. The caller passes thrown errors to `finish` after the other parts.
  static func writePart(_ text: String) throws {
    do {
      try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
    } catch {
      if SystemError.code(error) == EPIPE { throw ReaderGone() }
      throw SATError(
        "the result cannot be written to standard output (\(SystemError.reason(error))); redirect it to a writable file")
    }
  }

  /// Reports the failures of a result's parts. Ends the program without a message if the only failure is that the reader has gone.
  ///
  /// - Throws: one sentence per failure.
  static func finish(_ failures: [any Error]) throws {
    let reported = failures.filter { !($0 is ReaderGone) }
    guard reported.isEmpty else {
      if reported.count == 1 { throw reported[0] }
      throw SATError(reported.map { "\($0)" }.joined(separator: "\nsat: "))
    }
    guard !failures.isEmpty else { return }
    signal(SIGPIPE, SIG_DFL)
    raise(SIGPIPE)
    _exit(128 + SIGPIPE)
  }

  /// Opens each standard stream that the parent closed, in a mode in which every use fails.
  ///
  /// Otherwise the next file that the program opens would get the stream's number, and printed text would go into that file.
  static func claimDescriptors() {
    for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(descriptor, F_GETFD) == -1 {
      _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
  }
}
