internal import Foundation
internal import SwiftTorch

/// A report about one or several runs, from everything in their folders.
public struct Report {
  let runs: [RunRecord]
  let sections: [ReportSection]
  /// The parts that the report omits because their data are missing.
  public let omissions: [ReportOmission]
  /// Documents and images that are damaged or of another version; if there are several runs, also the damaged runs.
  public let unreadable: [UnreadableDocument]
  private let unreadableRuns: [String]
  public let title: String

  /// Reads the folders of runs.
  ///
  /// - Parameter folders: The folders of the runs, under the names for the page.
  /// - Throws: An error if a folder is not a run's folder, or no run has readable configuration and metrics.
  public init(of folders: [String]) throws {
    for folder in folders { try RunRecord.check(folder) }
    let records = folders.map { folder in Result { try RunRecord(folder) } }
    var runs = records.compactMap { try? $0.get() }
    if runs.isEmpty { _ = try records.map { try $0.get() } }
    var damaged: [UnreadableDocument] = []
    for (folder, record) in zip(folders, records) {
      if case .failure(let error) = record { damaged.append(UnreadableDocument(folder, error, naming: "\(folder)/")) }
    }
    unreadableRuns = damaged.map(\.path)
    let names = runs.map(\.name)
    // Folders with equal names get their paths as names, and a folder that is listed twice gets its number.
    for i in runs.indices where names.count(where: { $0 == names[i] }) > 1 { runs[i].name = runs[i].path }
    let paths = runs.map(\.name)
    for i in runs.indices where paths[..<i].contains(paths[i]) { runs[i].name += " (\(i + 1))" }
    self.runs = runs
    let shown = ReportRuns(runs: runs)
    sections = [
      shown.summarySection, shown.trainingSection, shown.curriculumSection, shown.smoothnessSection, shown.hessianSection,
      shown.landscapeSection, shown.robustnessSection, shown.imageSection, shown.configurationSection, shown.sourceSection,
    ].filter { !$0.isEmpty }
    omissions = shown.omissions
    unreadable = damaged + runs.flatMap(\.unreadable)
    title = runs.map(\.name).joined(separator: ", ")
  }

  /// All charts of the page, with all their points.
  public var charts: [Chart] { sections.flatMap(\.charts) }

  /// The source files of the page, including the unreadable files.
  public var files: [String] {
    runs.flatMap { $0.sources.map(\.path) } + unreadable.map(\.path)
      + unreadableRuns.flatMap { [RunFolder($0).configurationPath, RunFolder($0).metricsPath] }
  }

  /// The folders of the shown runs.
  public var folders: [String] { runs.map(\.path) }

  /// Writes each chart's data as `<id>.csv` into a folder, and creates the folder if it is missing.
  ///
  /// - Returns: The paths of the files.
  /// - Throws: An error if the folder or a file cannot be written.
  public func writeCSV(to folder: String) throws -> [String] {
    try OutputFolder.create(folder)
    return try charts.map { chart in
      let path = "\(folder)/\(chart.id).csv"
      try AtomicFile.write(chart.csv, to: path)
      return path
    }
  }
}

extension ReportRuns {
  /// The table of the runs and their results.
  var summarySection: ReportSection {
    var rows = [["run", "method", "data", "model", "threat", "epochs", "best on validation", "evaluations"]]
    for run in runs {
      let threat = [run.setting("threat.norm"), run.setting("threat.epsilon").map { "ε \($0)" }].compactMap { $0 }.joined(
        separator: ", ")
      let best = run.best.map { best in
        "epoch \(best.epoch + 1): clean \(percent(best.validation.clean)), robust \(percent(best.validation.robust))"
      }
      let evaluations = run.evaluations.map { document in
        func text(_ proportion: EvaluationDocument.Proportion) -> String { "\(percent(proportion.accuracy)) (\(proportion.range))" }
        let robust = document.contents.robust.map { ", robust \(text($0))" } ?? ""
        return "\(document.name): clean \(text(document.contents.clean))\(robust)"
      }
      rows.append([
        run.name, run.setting("method") ?? "", run.setting("data") ?? "", run.setting("model.name") ?? "", threat,
        "\(run.epochs.count)" + (run.setting("epochs").map { " of \($0)" } ?? ""), best ?? "", evaluations.joined(separator: "; "),
      ])
    }
    return ReportSection(id: "summary", title: "Summary", tables: [.init(caption: areSeveral ? "The runs" : "The run", rows: rows)])
  }

  /// The table of all settings. If there are several runs, differing settings are highlighted.
  var configurationSection: ReportSection {
    var keys: [String] = []
    for run in runs { keys += run.settings.map(\.key).filter { !keys.contains($0) } }
    guard !keys.isEmpty else { return ReportSection(id: "configuration", title: "Configuration") }
    var rows = [["setting"] + runs.map(\.name)]
    var marked: Set<Int> = []
    for (i, key) in keys.enumerated() {
      let values = runs.map { $0.setting(key) ?? "–" }
      if Set(values).count > 1 { marked.insert(i) }
      rows.append([Set(values).count > 1 ? "≠ \(key)" : key] + values)
    }
    return ReportSection(
      id: "configuration", title: "Configuration",
      tables: [
        .init(caption: areSeveral ? "From config.yaml; ≠ marks differences" : "From config.yaml", rows: rows, marked: marked)
      ])
  }

  /// The table of the source files.
  var sourceSection: ReportSection {
    let rows = runs.flatMap { run in run.sources.map { [$0.path, "\($0.bytes)", $0.modified.formatted(.iso8601)] } }
    return ReportSection(
      id: "sources", title: "Where the numbers come from",
      tables: [.init(caption: "The files that were read", rows: [["file", "bytes", "changed"]] + rows)])
  }

  /// Returns the option for the training split; empty if the data have no splits.
  private static func trainingPart(_ run: RunRecord) -> String {
    guard let data = run.setting("data") else { return " --split train" }
    return DataSource(data).hasParts ? " --split train" : ""
  }

  /// The missing parts, with the commands that make them.
  var omissions: [ReportOmission] {
    [
      omission("The curves of training", lacking: \.epochs.isEmpty) { "sat train --run \(shellWord($0.path)) --resume" },
      omission("Smoothness during training", lacking: { run in !run.epochs.contains { $0.smoothness != nil } }) {
        "sat train \($0.setting("preset") ?? "digits") --track-smoothness 5"
      },
      omission("The Hessian", lacking: { $0.hessians.isEmpty && !$0.hasUnreadable("hessian") }) {
        "sat hessian \(shellWord($0.path))\(Self.trainingPart($0)) --first 128 --at adversarial --top 5 --trace --density "
          + "--per-sample "
          + "--approximations --json-file \(shellWord($0.path + "/hessian.json"))"
      },
      omission("The loss landscape", lacking: { $0.landscapes.isEmpty && !$0.hasUnreadable("landscape") }) {
        "sat landscape \(shellWord($0.path))\(Self.trainingPart($0)) --first 128 --points 15 --json-file "
          + "\(shellWord($0.path + "/landscape.json"))"
      },
      omission("Robustness", lacking: { $0.evaluations.isEmpty && !$0.hasUnreadable("evaluation") }) {
        "sat evaluate \(shellWord($0.path)) --attack autoattack --json-file \(shellWord($0.path + "/evaluation-autoattack.json"))"
      },
      omission("Adversarial images", lacking: { $0.images.isEmpty && !$0.hasUnreadable("adversarial") }) {
        "sat evaluate \(shellWord($0.path)) --first 100 --save \(shellWord($0.path + "/adversarial.safetensors"))"
      },
    ].compactMap { $0 }
  }
}
