import ArgumentParser
import SAT

struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Report what sat runs on, and any fault.",
    discussion: """
      The exit status is 1 when a fault keeps sat from working.

      Examples:
        sat doctor
        sat doctor --json
      """)

  @OptionGroup var dataOptions: DataOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    try output.begin("examining this machine")
    let examination = SystemExamination(dataRoot: dataOptions.root)
    try output.deliver(examination, text: examination.text)
    if examination.hasFault { throw ExitCode(1) }
  }
}
