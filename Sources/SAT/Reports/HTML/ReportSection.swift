/// A part of a report: charts, tables and images on one subject.
struct ReportSection {
  struct Table {
    var caption: String
    /// The heading first; the first column names the rows.
    var rows: [[String]]
    /// Rows, without the heading, that are to stand out.
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

/// What a report would show if the data were there.
public struct ReportOmission: Sendable, Equatable {
  public var what: String
  /// The runs without it.
  public var runs: [String]
  /// The command that makes it.
  public var command: String
}

/// A document or a file of images that is damaged or of another version, or a run whose configuration or metrics are damaged.
public struct UnreadableDocument: Sendable, Equatable {
  public var path: String
  /// What is wrong, to stand after the path.
  public var reason: String
  /// What the document says it is, such as "sat-hessian"; nil where it does not say.
  var kind: String?

  init(path: String, reason: String, kind: String? = nil) {
    self.path = path
    self.reason = reason
    self.kind = kind
  }

  /// - Parameter naming: how the error's sentence begins, which is left out where the path says it.
  init(_ path: String, _ error: any Error, naming: String) {
    var reason = "\(error)"
    if reason.hasPrefix(naming) { reason.removeFirst(naming.count) }
    self.init(path: path, reason: "cannot be read (\(reason.prefix { $0 != ";" }))")
  }

  /// Whether it says it is of a command, or its file is named so: hessian.json, evaluation-pgd.json.
  func isOf(_ command: String) -> Bool { kind == "sat-\(command)" || path.split(separator: "/").last?.hasPrefix(command) == true }
}

/// Runs in the order of a page, as its charts want them.
struct ReportRuns {
  let runs: [RunRecord]

  var areSeveral: Bool { runs.count > 1 }

  /// "loss", or "loss, digits-at" where a page shows several runs.
  func label(_ quantity: String, _ run: RunRecord) -> String {
    areSeveral ? (quantity.isEmpty ? run.name : "\(run.name): \(quantity)") : (quantity.isEmpty ? run.name : quantity)
  }

  /// A series of the epochs at which a quantity is there; nil where it is at none.
  func series(_ quantity: String, role: Int = 0, _ index: Int, _ value: (EpochMetrics) -> Double?) -> Chart.Series? {
    let points = runs[index].epochs.compactMap { epoch in value(epoch).map { (x: Double(epoch.epoch), y: $0) } }
    guard !points.isEmpty else { return nil }
    return Chart.Series(
      name: label(quantity, runs[index]), run: index, role: role, x: .numbers(points.map(\.x)), y: points.map(\.y))
  }

  /// A chart over the epochs; nil where no run has a value.
  func chart(
    _ id: String, _ title: String, _ note: String, form: Chart.Form = .lines, y: Chart.Axis, _ series: (Int) -> [Chart.Series?]
  ) -> Chart? {
    let all = runs.indices.flatMap(series).compactMap { $0 }
    guard !all.isEmpty else { return nil }
    return Chart(id: id, title: title, note: note, form: form, x: Chart.Axis("epoch", isCount: true), y: y, series: all)
  }

  /// The runs that lack something, and the command that makes it for the first of them.
  func omission(_ what: String, lacking: (RunRecord) -> Bool, command: (RunRecord) -> String) -> ReportOmission? {
    let without = runs.filter(lacking)
    return without.first.map { ReportOmission(what: what, runs: without.map(\.name), command: command($0)) }
  }
}
