import ArgumentParser
import SAT

struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Say what sat runs on, and what is wrong with it.",
    discussion: """
      Exit status 1 when something is wrong that keeps sat from working.

      Examples:
        sat doctor
        sat doctor --json
      """)

  @OptionGroup var dataOptions: DataOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    try output.begin()
    let examination = SystemExamination(dataRoot: dataOptions.root)
    try output.deliver(examination, text: examination.text)
    if examination.hasFault { throw ExitCode(1) }
  }
}
