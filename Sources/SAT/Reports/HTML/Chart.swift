internal import Foundation

/// A chart of a report: the data of its drawing, its table and its CSV file.
struct Chart: Encodable, Sendable, Equatable {
  /// `points` also draws the line of equal values.
  enum Form: String, Encodable, Sendable { case lines, steps, bars, points, surface, heatmap }

  /// `fraction` shows per cent, `count` has whole numbers, `fromZero` starts at zero, `logarithmic` needs values over decades.
  enum Scale: String, Encodable, Sendable { case linear, logarithmic, fraction, count, fromZero }

  struct Axis: Encodable, Sendable, Equatable {
    var title: String
    var scale: Scale
    /// The name of the column in tables and CSV files.
    var column: String
    /// The names of the positions 0, 1, 2, … of an axis without numbers.
    var words: [String]?

    init(_ title: String, _ scale: Scale = .linear, column: String? = nil, words: [String]? = nil) {
      self.title = title
      self.scale = scale
      self.words = words
      self.column = column ?? title.lowercased().replacing(" ", with: "_")
    }

    fileprivate func text(_ value: Double) -> String { words?[Int(value)] ?? CSV.number(value) }
  }

  struct Series: Encodable, Sendable, Equatable {
    var name: String
    /// The index of the run, which selects the colour if a page shows several runs.
    var run: Int
    /// The index of the run's quantity in this chart. It selects the dash, and the colour if a page shows one run.
    var role = 0
    var x: [Double]
    /// One value per position. In a heatmap or surface, the positions of the rows of `z`.
    var y: [Double]
    /// The ends of an interval around each `y`.
    var low: [Double]?
    var high: [Double]?
    /// In a heatmap or surface, one row per `y` with one value per `x`.
    var z: [[Double]]?
    /// The small chart that shows the series, if the chart has several.
    var panel: String?
  }

  /// A position on the x axis with a word, such as the best epoch.
  struct Mark: Encodable, Sendable, Equatable {
    var x: Double
    var text: String
    var run: Int
  }

  /// The name of the CSV file and of the place on the page: lower-case words with hyphens.
  var id: String
  var title: String
  /// The facts about this chart alone; the page explains the rest once per section.
  var note: String = ""
  var form: Form
  var x: Axis
  var y: Axis
  var z: Axis?
  var series: [Series]
  var marks: [Mark] = []

  /// All data of the chart, one line per value.
  var csv: String {
    let hasInterval = series.contains { $0.low != nil }
    let hasPanels = series.contains { $0.panel != nil }
    let heading = ["series"] + (hasPanels ? ["panel"] : []) + [x.column, y.column] + (z.map { [$0.column] } ?? [])
    let rows = series.flatMap { series in
      let names = [series.name] + (hasPanels ? [series.panel ?? ""] : [])
      if let z = series.z {
        return zip(series.y, z).flatMap { y, row in
          zip(series.x, row).map { names + [x.text($0), CSV.number(y), CSV.number($1)] }
        }
      }
      return series.y.indices.map { i in
        let interval = hasInterval ? [series.low, series.high].map { ends in ends.map { CSV.number($0[i]) } ?? "" } : []
        return names + [x.text(series.x[i]), CSV.number(series.y[i])] + interval
      }
    }
    return ([heading + (hasInterval ? ["low", "high"] : [])] + rows).map(CSV.line).joined()
  }
}

/// Comma-separated values (RFC 4180).
enum CSV {
  static func line(_ fields: [String]) -> String { fields.map(field).joined(separator: ",") + "\n" }

  /// Returns the shortest digits that read back as the same number.
  static func number(_ value: Double) -> String { value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : "\(value)" }

  private static func field(_ text: String) -> String {
    guard text.contains(where: { $0 == "," || $0 == "\"" || $0.isNewline }) else { return text }
    return "\"" + text.replacing("\"", with: "\"\"") + "\""
  }
}
