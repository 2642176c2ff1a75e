internal import Foundation
internal import SwiftTorch

/// A report about one or several runs, from everything in their folders.
public struct Report {
  let runs: [RunRecord]
  /// The runs that cannot be shown.
  private let damaged: [UnreadableDocument]

  /// Reads the folders of runs.
  ///
  /// - Parameter folders: The folders of the runs, under the names for the page.
  /// - Throws: An error if a folder is not a run's folder, or no run has readable configuration and metrics.
  public init(of folders: [String]) throws {
    for folder in folders { try RunRecord.check(folder) }
    let records = folders.map { folder in Result { try RunRecord(folder) } }
    var runs = records.compactMap { try? $0.get() }
    if runs.isEmpty { _ = try records.map { try $0.get() } }
    damaged = zip(folders, records).compactMap { folder, record in
      if case .failure(let error) = record { UnreadableDocument(folder, error, naming: "\(folder)/") } else { nil }
    }
    let names = runs.map(\.name)
    // Folders with equal names get their paths as names, and a folder that is listed twice gets its number.
    for i in runs.indices where names.count(where: { $0 == names[i] }) > 1 { runs[i].name = runs[i].path }
    let paths = runs.map(\.name)
    for i in runs.indices where paths[..<i].contains(paths[i]) { runs[i].name += " (\(i + 1))" }
    self.runs = runs
  }

  public var title: String { runs.map(\.name).joined(separator: ", ") }

  /// The sections with contents; the page's template decides their order.
  var sections: [ReportSection] {
    var results = resultsSection
    let lost = damaged.map { "\($0.path) \($0.reason), so the page leaves out this run. Restore its files." }
    results.notes.insert(contentsOf: lost, at: 0)
    return [
      results, robustnessSection, imageSection, trainingSection, curvatureSection, configurationSection, missingSection,
      sourceSection,
    ].filter { !$0.isEmpty }
  }

  /// Documents and images that are damaged or of another version; if there are several runs, also the damaged runs.
  public var unreadable: [UnreadableDocument] { damaged + runs.flatMap(\.unreadable) }

  /// All charts of the page, with all their points.
  var charts: [Chart] { sections.flatMap(\.charts) }

  /// The names of the charts, which are also those of their CSV files.
  public var chartNames: [String] { charts.map(\.id) }

  /// The source files of the page, including the unreadable files.
  public var files: [String] {
    runs.flatMap { $0.sources.map(\.path) } + unreadable.map(\.path)
      + damaged.flatMap { [RunFolder($0.path).configurationPath, RunFolder($0.path).metricsPath] }
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

  var areSeveral: Bool { runs.count > 1 }

  /// Returns a name such as "loss", or "digits-at: loss" if a page shows several runs.
  func label(_ quantity: String, _ run: RunRecord) -> String {
    quantity.isEmpty ? run.name : areSeveral ? "\(run.name): \(quantity)" : quantity
  }

  /// Returns a series of the epochs that have a quantity, counted from 1, with an interval if one of them has one; nil if no
  /// epoch has the quantity.
  func series(
    _ quantity: String, role: Int = 0, _ index: Int, _ value: (EpochMetrics) -> Double?,
    low: (EpochMetrics) -> Double? = { _ in nil }, high: (EpochMetrics) -> Double? = { _ in nil }
  ) -> Chart.Series? {
    let epochs = runs[index].epochs.filter { value($0) != nil }
    guard !epochs.isEmpty else { return nil }
    func ends(_ end: (EpochMetrics) -> Double?) -> [Double]? {
      epochs.contains { end($0) != nil } ? epochs.map { end($0) ?? .nan } : nil
    }
    return Chart.Series(
      name: label(quantity, runs[index]), run: index, role: role, x: epochs.map { Double($0.epoch + 1) },
      y: epochs.map { value($0)! }, low: ends(low), high: ends(high))
  }

  /// Returns a chart over the epochs, with marks at the best epoch and at lambda's phases; nil if no run has a value.
  func chart(
    _ id: String, _ title: String, _ note: String = "", form: Chart.Form = .lines, y: Chart.Axis, _ series: (Int) -> [Chart.Series?]
  ) -> Chart? {
    let all = runs.indices.flatMap(series).compactMap { $0 }
    guard !all.isEmpty else { return nil }
    let marks = Set(all.map(\.run)).sorted().flatMap { run in
      runs[run].marks.map { Chart.Mark(x: Double($0.epoch + 1), text: $0.text, run: run) }
    }
    return Chart(
      id: id, title: title, note: note, form: form, x: Chart.Axis("epoch", .count), y: y, series: all, marks: marks)
  }
}
