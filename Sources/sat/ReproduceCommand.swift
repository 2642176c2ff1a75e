import ArgumentParser
import Foundation
import SAT
import SwiftTorch

extension ReproductionScale.Name: ExpressibleByArgument {}

struct ReproduceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reproduce", abstract: "Reproduce a table or figure of the paper and compare with the paper's numbers.",
    discussion: """
      The command trains and measures everything that the item needs and that is still missing. A stopped reproduction continues \
      where it stopped. All items of a scale share their runs. The command prints the changes that a scale makes, and stores them \
      with the result.

      SCALES
        smoke     minutes; tests that everything runs, its accuracies mean nothing
        small     about an hour; MNIST on two CPU cores, the others on a GPU
        paper     the full Appendix A of the paper

      ITEMS
      \(itemList)

      EXAMPLES:
        sat reproduce table-2 --scale small
        sat reproduce table-2 --scale small --plan
        sat reproduce table-1 --scale paper --settings cifar10-prn20 \\
          --methods at,p-sat
        sat reproduce fig-4 --scale small --settings mnist-0.3 --epsilon 0.1
      """)

  private static var itemList: String {
    ReproductionItem.all.map { "  \($0.name.padding(toLength: 9, withPad: " ", startingAt: 0)) \($0.summary)" }.joined(
      separator: "\n")
  }

  @Argument(help: "Item to reproduce, such as table-2 or fig-6.") var item: String
  @Option(help: "Share of the paper's work to do: smoke, small or paper.") var scale: ReproductionScale.Name = .smoke
  @Option(help: .value("names", "Settings of the item to use, separated by commas. Default: all.")) var settings: String?
  @Option(help: .value("names", "Methods of the item to use, separated by commas. Default: all.")) var methods: String?

  @Option(help: .value("radius", "Radius that replaces the settings' own, such as 0.1; step sizes change in proportion."))
  var epsilon: Fraction?

  @Flag(help: "Show the plan, and do nothing.") var plan = false
  @Option(help: .value("dir", "Folder for runs and results.")) var out = "runs/reproduce"
  @Option(help: .value("n", "Seed of every random draw.")) var seed: UInt64 = 0
  @Option(help: .value("file", "CSV file for the numbers, in addition to the results folder.")) var csv: String?
  @OptionGroup var execution: ExecutionOptions
  @OptionGroup var dataOptions: DataOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    if plan && csv != nil { throw ValidationError("--csv has nothing to write with --plan; remove one of the two.") }
    do { _ = try chosenItem() } catch let error as SATError { throw ValidationError("\(error).") }
  }

  private func chosenItem() throws -> ReproductionItem {
    func names(_ text: String?) -> [String]? { text?.split(separator: ",", omittingEmptySubsequences: false).map(String.init) }
    return try ReproductionItem.named(item).restricted(settings: names(settings), methods: names(methods))
  }

  func run() throws {
    let item = try chosenItem()
    let plan = try ReproductionPlan(
      item, scale: ReproductionScale(scale), root: out, seed: seed, epsilon: epsilon, execution: execution.applied())
    let data = Set(plan.runs.map(\.data)).map { InputFiles.data($0, root: dataOptions.root) }
    try output.begin("planning the runs", writing: csv, reading: data.reduce(InputFiles(), +), making: out)
    if self.plan {
      let listing = ReproductionListing(plan, dataRoot: dataOptions.root)
      return try output.deliver(listing, text: listing.text)
    }
    let terminal = Terminal.standardError
    Interruption.listen { [out] in "the work saved earlier is kept in \(out), and the same command goes on from there" }
    let display = ReproductionDisplay(out: out)
    let result = try Reproducer(plan, dataRoot: dataOptions.root, observer: display) { Interruption.isRequested }.run()
    terminal.endProgress()
    guard let result else { display.stop() }
    var text = result.text + "\(plan.folder)/result.json, result.csv\n"
    if !result.runs.isEmpty {
      let page = "\(plan.folder)/report.html"
      try AtomicFile.write(ReportPage.html(Report(of: plan.runs.map(\.folder.path))), to: page)
      text += "\(page): the runs' page\n"
    }
    try output.deliver(result, text: text, files: [{ if let csv { try AtomicFile.write(result.csv, to: csv) } }])
  }
}

/// Shows a reproduction's progress on standard error.
private final class ReproductionDisplay: ReproductionObserver {
  private let terminal = Terminal.standardError
  private let out: String
  private var stage: ReproductionStage?
  private var start = ContinuousClock().now
  private var remaining = RemainingTime()

  init(out: String) { self.out = out }

  func progressed(_ stage: ReproductionStage, to fraction: Double, _ detail: String) {
    // The other stages stop by themselves. A measurement cannot, but the state saved before it is enough to continue.
    if stage == .measure && Interruption.isRequested { stop() }
    if stage != self.stage {
      self.stage = stage
      start = ContinuousClock().now
      remaining = RemainingTime()
    }
    remaining.record(fraction, at: (.now - start) / .seconds(1))
    terminal.progress(stage.rawValue, fraction: fraction, since: start, left: remaining.left, detail: detail)
  }

  func report(_ line: String) { terminal.line(line) }
  func warn(_ message: String) { terminal.warn(message) }

  func stop() -> Never {
    terminal.warn("interrupted; the finished work is kept in \(out), and the same command goes on from there")
    Foundation.exit(130)
  }
}
