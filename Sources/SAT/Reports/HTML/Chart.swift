internal import Foundation

/// A chart of a report: what is drawn, what the table beside it shows and what its CSV file holds.
public struct Chart: Encodable, Sendable, Equatable {
  public enum Form: String, Encodable, Sendable {
    case lines, steps, bars, points, surface, heatmap
  }

  public struct Axis: Encodable, Sendable, Equatable {
    /// What it is, in words.
    public var title: String
    /// Name of the column in tables and CSV files.
    public var column: String
    public var isLogarithmic = false
    /// Fractions, shown as per cent.
    public var isFraction = false
    /// Whole numbers.
    public var isCount = false
    /// Whether zero is in view.
    public var startsAtZero = false

    public init(
      _ title: String, column: String? = nil, isLogarithmic: Bool = false, isFraction: Bool = false, isCount: Bool = false,
      startsAtZero: Bool = false
    ) {
      (self.title, self.column) = (title, column ?? title.lowercased().split(separator: " ").joined(separator: "_"))
      (self.isLogarithmic, self.isFraction, self.isCount, self.startsAtZero) = (isLogarithmic, isFraction, isCount, startsAtZero)
    }
  }

  /// Where along an axis: numbers or words.
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
    /// Which run it is of; picks the colour where a page shows several.
    public var run: Int
    /// Which of a run's quantities in this chart it is; picks the dash, and the colour where a page shows one run.
    public var role: Int
    public var x: Positions
    /// One value a position; of a heatmap or surface the positions of the rows of `z`.
    public var y: [Double]
    /// The ends of an interval around each `y`.
    public var low: [Double]?
    public var high: [Double]?
    /// Of a heatmap or surface: a row for each `y`, a value for each `x`.
    public var z: [[Double]]?

    public init(
      name: String, run: Int, role: Int = 0, x: Positions, y: [Double], low: [Double]? = nil, high: [Double]? = nil,
      z: [[Double]]? = nil
    ) {
      (self.name, self.run, self.role, self.x, self.y, self.low, self.high, self.z) = (name, run, role, x, y, low, high, z)
    }

    /// The series with an interval around each value.
    func between(_ low: [Double], _ high: [Double]) -> Series {
      var result = self
      (result.low, result.high) = (low, high)
      return result
    }
  }

  /// Name of its CSV file and its place on the page: lower-case words with hyphens.
  public var id: String
  public var title: String
  /// What is drawn and how to read it.
  public var note: String
  public var form: Form
  public var x: Axis
  public var y: Axis
  public var z: Axis?
  public var series: [Series]
  /// Whether the line y = x is drawn.
  public var hasDiagonal = false

  public init(
    id: String, title: String, note: String, form: Form, x: Axis, y: Axis, z: Axis? = nil, series: [Series], hasDiagonal: Bool = false
  ) {
    (self.id, self.title, self.note, self.form) = (id, title, note, form)
    (self.x, self.y, self.z, self.series, self.hasDiagonal) = (x, y, z, series, hasDiagonal)
  }

  /// All its data, a line a value.
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

/// Comma-separated values as RFC 4180 writes them.
enum CSV {
  static func line(_ fields: [String]) -> String { fields.map(field).joined(separator: ",") + "\n" }

  /// The shortest digits that read back as the same number.
  static func number(_ value: Double) -> String {
    value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : "\(value)"
  }

  private static func field(_ text: String) -> String {
    guard text.contains(where: { $0 == "," || $0 == "\"" || $0.isNewline }) else { return text }
    return "\"" + text.replacing("\"", with: "\"\"") + "\""
  }
}
