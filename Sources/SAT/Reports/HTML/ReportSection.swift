/// A part of a report: charts, tables and images on one subject. The page's template holds its title and explanation.
struct ReportSection {
  struct Table {
    var caption: String
    /// The rows. The first row is the heading, and the first column names the rows.
    var rows: [[String]]
    /// Rows that the page hides until the reader asks for them, counted without the heading.
    var same: Set<Int> = []
  }

  struct Images: Encodable {
    var title: String
    var note: String
    var examples: AdversarialExamples
  }

  /// The section's name in the template.
  var id: String
  var charts: [Chart] = []
  var tables: [Table] = []
  var images: [Images] = []
  /// Sentences above the rest.
  var notes: [String] = []
  var commands: [(what: String, command: String)] = []

  var isEmpty: Bool { charts.isEmpty && tables.isEmpty && images.isEmpty && notes.isEmpty && commands.isEmpty }
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

  /// Makes the entry from a path and the error that reading it gave. `start` is the part of the error's sentence that repeats the
  /// path; the reason leaves it out.
  init(_ path: String, _ error: any Error, naming start: String) {
    var reason = "\(error)"
    if reason.hasPrefix(start) { reason = String(reason.dropFirst(start.count).drop { ": ".contains($0) }) }
    self.init(path: path, reason: "cannot be read (\(reason.prefix { $0 != ";" }))")
  }

  /// Returns true if its kind or its file name belongs to a command, such as hessian.json or evaluation-pgd.json.
  func isOf(_ command: String) -> Bool { kind == "sat-\(command)" || path.split(separator: "/").last?.hasPrefix(command) == true }
}
