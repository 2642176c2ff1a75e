import Foundation
import SAT

/// Standard output, where results go. One that cannot be written there is a failure, so that no script takes it for done.
enum StandardOutput {
  /// - Throws: `SATError` in the system's words. When nobody reads any more the program ends without a word, as Unix tools do.
  static func write(_ text: String) throws {
    do {
      try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
    } catch {
      if SystemError.code(error) == EPIPE {
        signal(SIGPIPE, SIG_DFL)
        raise(SIGPIPE)
        _exit(128 + SIGPIPE)
      }
      throw SATError("the result cannot be written to standard output (\(SystemError.reason(error))); send it to a place that takes it")
    }
  }

  /// Sees to it that the numbers of the standard streams are taken, before a file that is opened gets one of them and with it what
  /// is printed: a stream that the parent closed becomes one whose every use fails.
  static func claimDescriptors() {
    for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(descriptor, F_GETFD) == -1 {
      _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
  }
}
