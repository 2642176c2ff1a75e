import ArgumentParser
import SAT

struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Report what sat runs on, and any fault.",
    discussion: """
      The exit status is 1 when a fault keeps sat from working.

      EXAMPLES:
        sat doctor
        sat doctor --json
      """)

  @OptionGroup var dataOptions: DataOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    try output.begin("examining this machine")
    let examination = SystemExamination.run(dataRoot: dataOptions.root)
    try output.deliver(examination, text: examination.text)
    if examination.hasFault { throw ExitCode(1) }
  }
}

extension SystemExamination {
  fileprivate var text: String {
    let rows = [
      ["sat", versions["sat"]!], ["shim", versions["shim"]!], ["libtorch", versions["libtorch"]!],
      ["compiler", "Swift \(versions["swift"]!)"], ["threads", "\(threads) of \(processors) processors"],
      ["instructions", cpuCapability + (bfloat16 ? ", bfloat16" : "")], ["BLAS", blas], ["oneDNN", oneDNN ? "yes" : "no"],
    ]
    var text = TextTable(rows + devices.map { ["device \($0.device)", $0.name] }, leftColumns: 2).description + "\n"
    if findings.isEmpty { text += "nothing is wrong\n" }
    for finding in findings { text += "\(finding.severity.rawValue): \(finding.message)\n" }
    return text
  }
}
