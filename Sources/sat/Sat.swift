import ArgumentParser
import Foundation
import SAT
import SwiftTorch

@main
struct Sat: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sat",
    abstract: "Train and judge adversarially robust image classifiers.",
    discussion: """
      Examples:
        sat train digits                        train P-SAT on 5,000 real digits, in minutes
        sat evaluate runs/digits-p-sat          its accuracy, clean and under attack
        sat evaluate model.pt --model lenet5 --data mnist --epsilon 0.3
        sat help evaluate                       options and examples of a command
      """,
    version: isForCommand ? "" : "sat \(SATVersion.current), libtorch \(Torch.version)",
    subcommands: [
      TrainCommand.self,
      EvaluateCommand.self,
      VerifyCommand.self,
      HessianCommand.self,
      LandscapeCommand.self,
      CompareCommand.self,
      ModelsCommand.self,
      DataCommand.self,
      DoctorCommand.self,
      BenchCommand.self,
      ReportCommand.self,
      ReproduceCommand.self,
    ])

  /// Whether a command is named, or help for one: `--version` is then the command's own option, or none. The parser would take it for
  /// the question after sat's version, answer that and exit with 0 instead of naming a mistake elsewhere in the line.
  private static let isForCommand = CommandLine.arguments.dropFirst().drop { $0 == "help" }.first.map { !$0.hasPrefix("-") } ?? false

  static func main() {
    StandardOutput.claimDescriptors()
    Interruption.begin()
    // A file-size limit then fails the write, which is answered by a sentence, rather than killing the process; so does a pipe that
    // nobody reads, for progress that nobody reads is no reason to lose a run.
    signal(SIGXFSZ, SIG_IGN)
    signal(SIGPIPE, SIG_IGN)
    Torch.keepHostMemory()
    do {
      guard Torch.abiVersion == Torch.expectedABIVersion else {
        throw SATError(
          "libtorchshim speaks ABI \(Torch.abiVersion), this sat was built for \(Torch.expectedABIVersion); run scripts/bootstrap to rebuild it")
      }
      var command = try parseAsRoot()
      do { try command.run() } catch let error as ValidationError { misused(type(of: command), error) }
    } catch let error as SATError {
      fail(error.message)
    } catch let error as TorchError {
      fail(error.message)
    } catch {
      guard exitCode(for: error).isSuccess else { exit(withError: error) }
      // Help and the version are results too.
      do { try StandardOutput.write(fullMessage(for: error) + "\n") } catch { fail("\(error)") }
    }
  }

  /// What the parser says of a mistake it finds itself: usage is the command's, not the program's.
  private static func misused(_ command: any ParsableCommand.Type, _ error: ValidationError) -> Never {
    let usage = usageString(for: command)
    let name = usage.prefix { $0 != "[" && $0 != "<" }.split(separator: " ").joined(separator: " ")
    Terminal.standardError.endProgress()
    let text = "Error: \(error.message)\nUsage: \(usage)\n  See '\(name) --help' for more information.\n"
    try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
    Foundation.exit(ExitCode.validationFailure.rawValue)
  }

  private static func fail(_ message: String) -> Never {
    Terminal.standardError.endProgress()
    try? FileHandle.standardError.write(contentsOf: Data("sat: \(message)\n".utf8))
    Foundation.exit(1)
  }
}
