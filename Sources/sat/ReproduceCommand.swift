import ArgumentParser
import Foundation
import SAT
import SwiftTorch

extension ReproductionScale.Name: ExpressibleByArgument {}

struct ReproduceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reproduce",
    abstract: "Reproduce a table or figure of the paper, beside the paper's numbers.",
    discussion: """
      Trains and measures everything that the item needs and that is still missing. A stopped reproduction continues where it \
      stopped. All items of a scale share their runs. The command prints the changes that a scale makes, and stores them with the \
      result.

      SCALES
        smoke     minutes; tests that everything runs, accuracies mean nothing
        small     about an hour; MNIST on two CPU cores, the others on a GPU
        paper     the full Appendix A of the paper

      ITEMS
      \(itemList)

      EXAMPLES
        sat reproduce table-2 --scale small
        sat reproduce table-2 --scale small --plan
        sat reproduce table-1 --scale paper --settings cifar10-prn20 --methods at,p-sat
        sat reproduce fig-4 --scale small --settings mnist-0.3 --epsilon 0.1
      """)

  private static var itemList: String {
    ReproductionItem.all
      .map { "  \($0.name.padding(toLength: 9, withPad: " ", startingAt: 0)) \($0.summary)" }
      .joined(separator: "\n")
  }

  @Argument(help: "Item to reproduce, such as table-2 or fig-6.")
  var item: String

  @Option(help: "Share of the paper's work to do: smoke, small or paper.")
  var scale: ReproductionScale.Name = .smoke

  @Option(help: ArgumentHelp("Settings of the item to use, separated by commas. Default: all.", valueName: "names"))
  var settings: String?

  @Option(help: ArgumentHelp("Methods of the item to use, separated by commas. Default: all.", valueName: "names"))
  var methods: String?

  @Option(
    help: ArgumentHelp(
      "Radius that replaces the settings' own, such as 0.1; step sizes change in proportion.", valueName: "radius"))
  var epsilon: Fraction?

  @Flag(help: "Show the plan, and do nothing.")
  var plan = false

  @Option(help: ArgumentHelp("Folder for runs and results.", valueName: "dir"))
  var out = "runs/reproduce"

  @Option(help: ArgumentHelp("Seed of every random draw.", valueName: "n"))
  var seed: UInt64 = 0

  @Option(help: ArgumentHelp("CSV file for the numbers, in addition to the results folder.", valueName: "file"))
  var csv: String?

  @OptionGroup var execution: ExecutionOptions
  @OptionGroup var dataOptions: DataOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    if plan && csv != nil { throw ValidationError("--csv has nothing to write with --plan; leave one of them out.") }
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
    try output.begin(writing: csv, reading: data.reduce(InputFiles(), +), making: out)
    if self.plan {
      let listing = PlanListing(plan, dataRoot: dataOptions.root)
      return try output.deliver(listing, text: listing.text)
    }
    let terminal = Terminal.standardError
    Interruption.listen()
    let display = ReproductionDisplay(out: out)
    let result = try Reproducer(plan, dataRoot: dataOptions.root, observer: display) { Interruption.isRequested }.run()
    terminal.endProgress()
    guard let result else { display.stop() }
    var text = result.text + "\(plan.folder)/result.json, result.csv\n"
    if !result.runs.isEmpty, let page = try page(plan) { text += "\(page): the runs' page\n" }
    try output.deliver(result, text: text, files: [{ if let csv { try AtomicFile.write(result.csv, to: csv) } }])
  }

  /// The page of the runs, where Plotly is at hand; its figures are the paper's.
  private func page(_ plan: ReproductionPlan) throws -> String? {
    guard let plotly = try? PlotlyLocation.load() else { return nil }
    let path = "\(plan.folder)/report.html"
    try AtomicFile.write(ReportPage.html(Report(of: plan.runs.map(\.folder.path)), plotly: plotly), to: path)
    return path
  }
}

/// Shows a reproduction on standard error.
private final class ReproductionDisplay: ReproductionObserver {
  private let terminal = Terminal.standardError
  private let out: String
  private var stage: ReproductionStage?
  private var start = ContinuousClock().now

  init(out: String) { self.out = out }

  func progressed(_ stage: ReproductionStage, to fraction: Double, _ detail: String) {
    // The others stop by themselves. A measurement cannot, but what was saved before it is enough to go on from.
    if stage == .measure && Interruption.isRequested { stop() }
    if stage != self.stage { (self.stage, start) = (stage, ContinuousClock().now) }
    terminal.progress(stage.rawValue, fraction: fraction, since: start, detail: detail)
  }

  func said(_ line: String) { terminal.line(line) }
  func warned(_ message: String) { terminal.warn(message) }

  func stop() -> Never {
    terminal.warn("interrupted; what was done is kept in \(out), and the same command goes on from there")
    Foundation.exit(130)
  }
}

/// What `--plan` answers.
private struct PlanListing: Encodable {
  struct Run: Encodable {
    var setting: String
    var method: String
    var folder: String
    var epochs: Int
    var epochsDone: Int
  }

  struct Change: Encodable {
    var setting: String
    var changes: [String]
  }

  var format = "sat-reproduction-plan/1"
  var item: String
  var scale: String
  var results: String
  var changes: [Change]
  var runs: [Run]
  /// What the runs need and is not there, in a sentence each.
  var missingData: [String]

  init(_ plan: ReproductionPlan, dataRoot: DataRoot) {
    item = plan.item.name
    scale = plan.scale.name.rawValue
    results = plan.folder
    changes = plan.changes.map { Change(setting: $0.setting, changes: $0.changes) }
    runs =
      plan.item.measurement == .schedule
      ? [] : plan.runs.map {
        Run(
          setting: $0.setting, method: $0.method, folder: $0.folder.path, epochs: $0.configuration.epochs,
          epochsDone: min($0.epochsDone, $0.configuration.epochs))
      }
    missingData = runs.isEmpty ? [] : Set(plan.runs.map(\.data)).sorted().compactMap { Self.missing($0, dataRoot) }
  }

  private static func missing(_ name: String, _ root: DataRoot) -> String? {
    if name == "digits" {
      do { _ = try DigitsLocation.find(dataRoot: root) } catch { return error.message }
      return nil
    }
    guard let data = try? DatasetCatalog.dataset(named: name), !data.isPresent(under: root) else { return nil }
    return "\(name) is not under \(root.path); `sat data fetch \(name)` gets it, or say where it is with --data-root"
  }

  var text: String {
    var text = "\(item), scale \(scale); results go to \(results)\n"
    for change in changes {
      text += "\(change.setting): \(change.changes.isEmpty ? "the paper's setting" : change.changes.joined(separator: "; "))\n"
    }
    guard !runs.isEmpty else { return text + "nothing is trained\n" }
    let rows = runs.map { [$0.setting, $0.method, "\($0.epochsDone)/\($0.epochs)", $0.folder] }
    return text + TextTable([["setting", "method", "epochs", "folder"]] + rows, leftColumns: 4).description
      + missingData.map { "missing: \($0)\n" }.joined()
  }
}
