internal import Foundation

/// A chart of a report: the data of its drawing, its table and its CSV file.
public struct Chart: Encodable, Sendable, Equatable {
  public enum Form: String, Encodable, Sendable { case lines, steps, bars, points, surface, heatmap }

  public struct Axis: Encodable, Sendable, Equatable {
    /// The axis title.
    public var title: String
    /// The name of the column in tables and CSV files.
    public var column: String
    public var isLogarithmic = false
    /// True for fractions, which the page shows as per cent.
    public var isFraction = false
    /// True for whole numbers.
    public var isCount = false
    /// True if the axis starts at zero.
    public var startsAtZero = false

    public init(
      _ title: String, column: String? = nil, isLogarithmic: Bool = false, isFraction: Bool = false, isCount: Bool = false,
      startsAtZero: Bool = false
    ) {
      (self.title, self.column) = (title, column ?? title.lowercased().split(separator: " ").joined(separator: "_"))
      (self.isLogarithmic, self.isFraction, self.isCount, self.startsAtZero) = (isLogarithmic, isFraction, isCount, startsAtZero)
    }
  }

  /// Positions along an axis: numbers or words.
  public enum Positions: Encodable, Sendable, Equatable {
    case numbers([Double])
    case words([String])

    public func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      switch self {
      case .numbers(let values): try container.encode(values)
      case .words(let values): try container.encode(values)
      }
    }

    var count: Int {
      switch self {
      case .numbers(let values): values.count
      case .words(let values): values.count
      }
    }

    func text(at index: Int) -> String {
      switch self {
      case .numbers(let values): CSV.number(values[index])
      case .words(let values): values[index]
      }
    }

    func selecting(_ indices: [Int]) -> Positions {
      switch self {
      case .numbers(let values): .numbers(indices.map { values[$0] })
      case .words(let values): .words(indices.map { values[$0] })
      }
    }
  }

  public struct Series: Encodable, Sendable, Equatable {
    public var name: String
    /// The index of the run, which selects the colour if a page shows several runs.
    public var run: Int
    /// The index of the run's quantity in this chart. It selects the dash, and the colour if a page shows one run.
    public var role: Int
    public var x: Positions
    /// One value per position. In a heatmap or surface, the positions of the rows of `z`.
    public var y: [Double]
    /// The ends of an interval around each `y`.
    public var low: [Double]?
    public var high: [Double]?
    /// In a heatmap or surface, one row per `y` with one value per `x`.
    public var z: [[Double]]?

    public init(
      name: String, run: Int, role: Int = 0, x: Positions, y: [Double], low: [Double]? = nil, high: [Double]? = nil,
      z: [[Double]]? = nil
    ) { (self.name, self.run, self.role, self.x, self.y, self.low, self.high, self.z) = (name, run, role, x, y, low, high, z) }

    /// Returns the series with an interval around each value.
    func between(_ low: [Double], _ high: [Double]) -> Series {
      var result = self
      (result.low, result.high) = (low, high)
      return result
    }
  }

  /// The name of the CSV file and of the place on the page: lower-case words with hyphens.
  public var id: String
  public var title: String
  /// A description of the chart and how to read it.
  public var note: String
  public var form: Form
  public var x: Axis
  public var y: Axis
  public var z: Axis?
  public var series: [Series]
  /// True to draw the line y = x.
  public var hasDiagonal = false

  public init(
    id: String, title: String, note: String, form: Form, x: Axis, y: Axis, z: Axis? = nil, series: [Series],
    hasDiagonal: Bool = false
  ) {
    (self.id, self.title, self.note, self.form) = (id, title, note, form)
    (self.x, self.y, self.z, self.series, self.hasDiagonal) = (x, y, z, series, hasDiagonal)
  }

  /// All data of the chart, one line per value.
  public var csv: String {
    let hasInterval = series.contains { $0.low != nil }
    var lines = [CSV.line(["series", x.column, y.column] + (z.map { [$0.column] } ?? []) + (hasInterval ? ["low", "high"] : []))]
    for series in series {
      if let z = series.z {
        for (row, values) in z.enumerated() {
          for (column, value) in values.enumerated() {
            lines.append(CSV.line([series.name, series.x.text(at: column), CSV.number(series.y[row]), CSV.number(value)]))
          }
        }
        continue
      }
      for i in series.y.indices {
        let interval = hasInterval ? [series.low?[i], series.high?[i]].map { $0.map(CSV.number) ?? "" } : []
        lines.append(CSV.line([series.name, series.x.text(at: i), CSV.number(series.y[i])] + interval))
      }
    }
    return lines.joined()
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
