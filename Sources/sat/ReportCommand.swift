import ArgumentParser
import Foundation
import SAT
import SwiftTorch

struct ReportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report", abstract: "Write one HTML page about one or more runs.",
    discussion: """
      The page needs no network and no other files. It shows the results with warnings, robustness, adversarial images, training, \
      curvature, the configuration and the source of every number. The measurements lie in the run folder: JSON documents of \
      `sat evaluate`, `sat hessian` and `sat landscape` (written there with --json-file) and images of `sat evaluate --save`.

      For each missing part, the page names the command that makes it. Several runs appear side by side.

      EXAMPLES:
        sat report runs/digits-p-sat
        sat report runs/digits-at runs/digits-p-sat --out compared.html
        sat report runs/digits-p-sat --csv charts
      """)

  @Argument(help: .value("run", "Run folders.")) var runs: [String]
  @Option(help: .value("file", "HTML file to write. Default: report.html in the first run's folder.")) var out: String?
  @Option(help: .value("dir", "Folder for the data of every chart, as CSV files. Default: none are written.")) var csv: String?
  @OptionGroup var output: OutputOptions

  private struct Document: Encodable {
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
    // `Report` reports a missing run folder, so this check must accept a page inside one.
    try output.begin("reading the run", writing: page, making: runs[0])
    let report = try Report(of: runs)
    try InputFiles.files(report.files).refuseOverwrite(by: [page, output.jsonFile].compactMap { $0 })
    for file in report.unreadable {
      Terminal.standardError.warn("\(file.path) \(file.reason), so the page leaves it out; restore the file, or make it again")
    }
    try AtomicFile.write(ReportPage.html(report), to: page)
    let charts = Result { try csv.map { try report.writeCSV(to: $0) } ?? [] }
    let files = (try? charts.get()) ?? []
    let document = Document(
      page: page, runs: report.folders, charts: report.chartNames, csv: files,
      missing: report.omissions.map { .init(what: $0.what, runs: $0.runs, command: $0.command) },
      unreadable: report.unreadable.map(\.path))
    let count = report.chartNames.count
    var text = "\(page) shows \(count) chart\(count == 1 ? "" : "s") of \(report.folders.joined(separator: ", "))\n"
    if let csv, !files.isEmpty { text += "\(csv) has \(files.count) CSV file\(files.count == 1 ? "" : "s")\n" }
    for missing in document.missing {
      let runs = report.folders.count > 1 ? " of \(missing.runs.joined(separator: ", "))" : ""
      let part = missing.what.prefix(1).lowercased() + missing.what.dropFirst()
      text += "the page lacks \(part)\(runs); to add this part, run `\(missing.command)`\n"
    }
    try output.deliver(document, text: text, files: [{ _ = try charts.get() }])
  }
}
