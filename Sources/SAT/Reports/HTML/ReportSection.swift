/// A part of a report: charts, tables and images on one subject.
struct ReportSection {
  struct Table {
    var caption: String
    /// The rows. The first row is the heading, and the first column names the rows.
    var rows: [[String]]
    /// Highlighted rows, counted without the heading.
    var marked: Set<Int> = []
  }

  struct Images {
    var title: String
    var note: String
    var examples: AdversarialExamples
  }

  var id: String
  var title: String
  var charts: [Chart] = []
  var tables: [Table] = []
  var images: [Images] = []
  /// Sentences below the title.
  var notes: [String] = []

  var isEmpty: Bool { charts.isEmpty && tables.isEmpty && images.isEmpty }
}

/// A part that a report omits because its data are missing.
public struct ReportOmission: Sendable, Equatable {
  public var what: String
  /// The names of the runs without the data.
  public var runs: [String]
  /// The command that makes the data.
  public var command: String
}

/// A damaged document, image file or run, or a document of another version.
public struct UnreadableDocument: Sendable, Equatable {
  public var path: String
  /// The fault, as the end of a sentence that begins with the path.
  public var reason: String
  /// The document's stated kind, such as "sat-hessian"; nil if it states none.
  var kind: String?

  init(path: String, reason: String, kind: String? = nil) {
    self.path = path
    self.reason = reason
    self.kind = kind
  }

  /// Makes the entry from a path and an error.
  ///
  /// - Parameter naming: The start of the error's sentence that repeats the path and is removed.
  init(_ path: String, _ error: any Error, naming: String) {
    var reason = "\(error)"
    if reason.hasPrefix(naming) { reason.removeFirst(naming.count) }
    self.init(path: path, reason: "cannot be read (\(reason.prefix { $0 != ";" }))")
  }

  /// Returns true if its kind or its file name belongs to a command, such as hessian.json or evaluation-pgd.json.
  func isOf(_ command: String) -> Bool { kind == "sat-\(command)" || path.split(separator: "/").last?.hasPrefix(command) == true }
}

/// The runs of a page, in order, with the functions that make its charts.
struct ReportRuns {
  let runs: [RunRecord]

  var areSeveral: Bool { runs.count > 1 }

  /// Returns a name such as "loss", or "digits-at: loss" if a page shows several runs.
  func label(_ quantity: String, _ run: RunRecord) -> String {
    areSeveral ? (quantity.isEmpty ? run.name : "\(run.name): \(quantity)") : (quantity.isEmpty ? run.name : quantity)
  }

  /// Returns a series of the epochs that have a quantity; nil if no epoch has it.
  func series(_ quantity: String, role: Int = 0, _ index: Int, _ value: (EpochMetrics) -> Double?) -> Chart.Series? {
    let points = runs[index].epochs.compactMap { epoch in value(epoch).map { (x: Double(epoch.epoch), y: $0) } }
    guard !points.isEmpty else { return nil }
    return Chart.Series(
      name: label(quantity, runs[index]), run: index, role: role, x: .numbers(points.map(\.x)), y: points.map(\.y))
  }

  /// Returns a chart over the epochs; nil if no run has a value.
  func chart(
    _ id: String, _ title: String, _ note: String, form: Chart.Form = .lines, y: Chart.Axis, _ series: (Int) -> [Chart.Series?]
  ) -> Chart? {
    let all = runs.indices.flatMap(series).compactMap { $0 }
    guard !all.isEmpty else { return nil }
    return Chart(id: id, title: title, note: note, form: form, x: Chart.Axis("epoch", isCount: true), y: y, series: all)
  }

  /// Returns the runs that lack data, with the command that makes the data for the first of them; nil if no run lacks them.
  func omission(_ what: String, lacking: (RunRecord) -> Bool, command: (RunRecord) -> String) -> ReportOmission? {
    let without = runs.filter(lacking)
    return without.first.map { ReportOmission(what: what, runs: without.map(\.name), command: command($0)) }
  }
}
