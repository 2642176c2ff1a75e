import ArgumentParser
import SAT

extension RunListing.Order: ExpressibleByArgument {}

struct RunsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "runs", abstract: "List training runs.",
    discussion: """
      The accuracies are those of the best checkpoint on the validation images. A run is running, interrupted, finished, stopped \
      (its method ended it early) or damaged.

      EXAMPLES:
        sat runs
        sat runs runs/reproduce --sort robust
        sat runs --json
      """)

  @Argument(help: .value("folder", "Folder with runs, also in its subfolders.")) var folder = "runs"
  @Option(help: "Order of the runs. Numbers go from large to small.") var sort: RunListing.Order = .path
  @OptionGroup var output: OutputOptions

  func run() throws {
    try output.begin("reading the runs")
    let listing = try RunListing(folder: folder, orderedBy: sort)
    for run in listing.runs { if let problem = run.problem { Terminal.standardError.warn(problem) } }
    let text = listing.runs.isEmpty ? "\(folder) holds no runs; sat train makes one\n" : listing.table.description
    try output.deliver(listing, text: text)
  }
}
