import ArgumentParser
import Foundation
import SAT
import SwiftTorch

struct ReportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Show runs to a person: one HTML page.",
    discussion: """
      The page needs neither network nor other files. It shows what the run folders hold: the curves of training, the curriculum,
      the JSON documents of `sat evaluate`, `sat hessian` and `sat landscape` (--json-file into the run folder), the images of
      `sat evaluate --save`, the configuration, and which files the numbers come from. What is missing is named with the command
      that makes it. Several runs are shown side by side.

      Examples:
        sat report runs/digits-p-sat
        sat report runs/digits-at runs/digits-p-sat --out compared.html
        sat report runs/digits-p-sat --csv charts
      """)

  @Argument(help: ArgumentHelp("Run folders.", valueName: "run"))
  var runs: [String]

  @Option(help: ArgumentHelp("File of the page. Default: report.html in the (first) run's folder.", valueName: "file"))
  var out: String?

  @Option(help: ArgumentHelp("Also write the data of every chart as CSV files into this folder.", valueName: "dir"))
  var csv: String?

  @OptionGroup var output: OutputOptions

  private struct Answer: Encodable {
    var format = "sat-report/1"
    var page: String
    var runs: [String]
    var charts: [String]
    var csv: [String]
    var missing: [Missing]
    var unreadable: [String]

    struct Missing: Encodable {
      var what: String
      var runs: [String]
      var command: String
    }
  }

  func run() throws {
    let page = out ?? "\(runs[0])/report.html"
    // A run's folder that is not there is a mistake to be told by the report.
    try output.begin(writing: page, making: runs[0])
    let report = try Report(of: runs)
    try InputFiles.files(report.files).refuse([page, output.jsonFile].compactMap { $0 })
    let plotly = try PlotlyLocation.load()
    for document in report.unreadable {
      Terminal.standardError.warn("\(document.path) \(document.reason), so it is not shown; restore it, or make it again")
    }
    try AtomicFile.write(ReportPage.html(report, plotly: plotly), to: page)
    let charts = Result { try csv.map { try report.writeCSV(to: $0) } ?? [] }
    let files = (try? charts.get()) ?? []
    let answer = Answer(
      page: page, runs: report.folders, charts: report.charts.map(\.id), csv: files,
      missing: report.omissions.map { .init(what: $0.what, runs: $0.runs, command: $0.command) },
      unreadable: report.unreadable.map(\.path))
    var text = "\(page): \(report.charts.count) charts of \(report.folders.joined(separator: ", "))\n"
    if let csv, !files.isEmpty { text += "\(csv): \(files.count) CSV files\n" }
    for missing in answer.missing {
      let of = report.folders.count > 1 ? " of \(missing.runs.joined(separator: ", "))" : ""
      text += "not there: \(missing.what.prefix(1).lowercased())\(missing.what.dropFirst())\(of); `\(missing.command)` makes it\n"
    }
    try output.deliver(answer, text: text, files: [{ _ = try charts.get() }])
  }
}
