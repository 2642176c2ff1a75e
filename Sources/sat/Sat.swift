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
      ReportCommand.self,
      ReproduceCommand.self,
    ])

  /// Whether a command is named: `--version` is then the command's own option. The parser would take it for the question after
  /// sat's version, answer that and exit with 0 instead of naming a mistake elsewhere in the line.
  private static let isForCommand = CommandLine.arguments.dropFirst().first.map { !$0.hasPrefix("-") && $0 != "help" } ?? false

  static func main() {
    // A file-size limit then fails the write, which is answered by a sentence, rather than killing the process.
    signal(SIGXFSZ, SIG_IGN)
    Torch.keepHostMemory()
    do {
      guard Torch.abiVersion == Torch.expectedABIVersion else {
        throw SATError(
          "libtorchshim speaks ABI \(Torch.abiVersion), this sat was built for \(Torch.expectedABIVersion); run scripts/bootstrap to rebuild it")
      }
      var command = try parseAsRoot()
      try command.run()
    } catch let error as SATError {
      fail(error.message)
    } catch let error as TorchError {
      fail(error.message)
    } catch {
      exit(withError: error)
    }
  }

  private static func fail(_ message: String) -> Never {
    Terminal.standardError.endProgress()
    try? FileHandle.standardError.write(contentsOf: Data("sat: \(message)\n".utf8))
    Foundation.exit(1)
  }
}
