import ArgumentParser
import SAT

struct CompareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Set a run beside a reference run.",
    discussion: """
      Shows the curves and the final figures of both, and the first step at which a loss or the gradients' norm differs by more than a
      tolerance. The reference is a folder that models/reference_run.py made from the run with PyTorch, or another run. Steps are compared
      where both have a steps.jsonl, which `sat train --log-steps` writes.

      Examples:
        sat train digits --log-steps
        python models/reference_run.py runs/digits-p-sat runs/digits-p-sat.pytorch
        sat compare runs/digits-p-sat runs/digits-p-sat.pytorch
      """)

  @Argument(help: ArgumentHelp("Folder of the run.", valueName: "run"))
  var folder: String

  @Argument(help: "Folder of the reference.")
  var reference: String

  @Option(
    help: ArgumentHelp("What a loss or norm may differ by, relative to the reference's value or to 1, whichever is larger.", valueName: "x"))
  var tolerance = 1e-3

  @OptionGroup var output: OutputOptions

  func validate() throws {
    try check("--tolerance", tolerance, in: Limit.number)
  }

  mutating func run() throws {
    try output.begin(reading: .model(folder) + .model(reference))
    let comparison = try RunComparison(run: folder, reference: reference, tolerance: tolerance)
    try output.deliver(comparison, text: RunComparisonTable(comparison).description)
  }
}
