import ArgumentParser
import SAT

struct CompareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare", abstract: "Compare a run with a reference run.",
    discussion: """
      Shows the curves and the final figures of both runs. The reference is another run, or a folder that models/reference_run.py \
      made with PyTorch.

      If both folders hold a steps.jsonl, the command also names the first step at which a loss or the gradient norm differs by \
      more than the tolerance. `sat train --log-steps` writes this file.

      EXAMPLES:
        sat train digits --log-steps
        python models/reference_run.py runs/digits-p-sat runs/digits-p-sat.pytorch
        sat compare runs/digits-p-sat runs/digits-p-sat.pytorch
      """)

  @Argument(help: .value("run", "Folder of the run.")) var folder: String
  @Argument(help: "Folder of the reference run.") var reference: String

  @Option(
    help: .value("x", "Largest accepted difference of a loss or norm, relative to the larger of 1 and the reference's value."))
  var tolerance = 1e-3

  @OptionGroup var output: OutputOptions

  func validate() throws { try check("--tolerance", tolerance, in: Limit.number) }

  mutating func run() throws {
    try output.begin("reading the runs", reading: .model(folder) + .model(reference))
    let comparison = try RunComparison(run: folder, reference: reference, tolerance: tolerance)
    try output.deliver(comparison, text: RunComparisonTable(comparison).description)
  }
}
