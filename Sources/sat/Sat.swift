import ArgumentParser
import Foundation
import SAT
import SwiftTorch

@main struct Sat: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sat", abstract: "Train and evaluate adversarially robust image classifiers.",
    discussion: """
      EXAMPLES:
        sat train digits                        train P-SAT on 4,000 digits
        sat evaluate runs/digits-p-sat          measure accuracy, also under attack
        sat evaluate model.pt --model lenet5 --data mnist --epsilon 0.3
        sat help evaluate                       show options and examples
      """, version: isForCommand ? "" : "sat \(SATVersion.current), libtorch \(Torch.version)",
    subcommands: [
      TrainCommand.self, EvaluateCommand.self, VerifyCommand.self, HessianCommand.self, LandscapeCommand.self, CompareCommand.self,
      ModelsCommand.self, DataCommand.self, DoctorCommand.self, BenchCommand.self, ReportCommand.self,
      RunsCommand.self, ReproduceCommand.self,
    ])

  /// True if the arguments name a command, or help on one. sat then declares no version, because a command may have its own
  /// `--version`.
  ///
  /// With a version, the parser would answer `--version` anywhere in the line and exit with 0, even after another mistake.
  private static let isForCommand: Bool = {
    let first = CommandLine.arguments.dropFirst().first { $0 != "help" }
    return first.map { !$0.hasPrefix("-") } ?? false
  }()

  static func main() {
    StandardOutput.claimDescriptors()
    Interruption.begin()
    // Without these signals, a write fails instead of killing the process. A file-size limit then ends with an error sentence.
    // A closed pipe costs progress lines instead of the run.
    signal(SIGXFSZ, SIG_IGN)
    signal(SIGPIPE, SIG_IGN)
    Torch.keepHostMemory()
    do {
      guard Torch.abiVersion == Torch.expectedABIVersion else {
        throw SATError(
          "libtorchshim has ABI \(Torch.abiVersion), but sat needs \(Torch.expectedABIVersion); rebuild it with scripts/bootstrap")
      }
      try refuseMisspelledCommand()
      var command = try parseAsRoot(joiningNegativeNumbers(Array(CommandLine.arguments.dropFirst())))
      do { try TextTable.$width.withValue(Terminal.outputWidth) { try command.run() } } catch let error as ValidationError {
        failWithUsage(of: type(of: command), error)
      }
    } catch let error as SATError { fail(error.message) } catch let error as TorchError { fail(error.message) } catch {
      guard exitCode(for: error).isSuccess else { exit(withError: error) }
      // Help and the version go to standard output, as results do.
      do { try StandardOutput.write(fullMessage(for: error) + "\n") } catch { fail("\(error)") }
    }
  }

  /// Names the command that the user probably meant, because the parser only calls a misspelled command an unexpected argument.
  private static func refuseMisspelledCommand() throws(SATError) {
    let words = CommandLine.arguments.dropFirst().drop { $0 == "help" }
    guard let word = words.first, !word.hasPrefix("-") else { return }
    let names = configuration.subcommands.map { $0._commandName }
    guard !names.contains(word), word != "help" else { return }
    let question = Suggestion.question(about: word, among: names)
    throw SATError("there is no command '\(word)'\(question); the commands are \(names.joined(separator: ", "))")
  }

  /// Writes `--option -1` as `--option=-1`. The parser takes a negative number for an option and calls the value missing.
  private static func joiningNegativeNumbers(_ words: [String]) -> [String] {
    var joined: [String] = []
    for word in words {
      if let option = joined.last, option.hasPrefix("--"), !option.contains("="), word.hasPrefix("-"),
        word.dropFirst().first.map({ $0.isNumber || $0 == "." }) == true
      {
        joined[joined.count - 1] = "\(option)=\(word)"
      } else {
        joined.append(word)
      }
    }
    return joined
  }

  /// Reports a wrong command line as the parser does, with the usage of the command instead of sat's.
  private static func failWithUsage(of command: any ParsableCommand.Type, _ error: ValidationError) -> Never {
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
