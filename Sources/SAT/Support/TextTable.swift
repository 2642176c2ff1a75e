/// A table of text: the first columns align left, the others right.
public struct TextTable: CustomStringConvertible {
  /// The most characters of a line; nil for no limit. The command sets it to the width of the terminal.
  @TaskLocal public static var width: Int?

  private let rows: [[String]]
  private let leftColumns: Int

  /// Creates a table from its cells by row, the heading first, with a number of columns that align left.
  public init(_ rows: [[String]], leftColumns: Int = 1) {
    self.rows = rows
    self.leftColumns = leftColumns
  }

  /// The lines of the table.
  ///
  /// A table that is wider than `width` wraps its widest column of words. If that does not suffice, the last columns follow in a
  /// second table with the same first column.
  public var description: String { lines(Self.width).joined(separator: "\n") + "\n" }

  private var columns: Int { rows.map(\.count).max() ?? 0 }
  private var widths: [Int] { (0..<columns).map { c in rows.map { c < $0.count ? $0[c].count : 0 }.max() ?? 0 } }

  private func lines(_ limit: Int?) -> [String] {
    let widths = widths
    let total = widths.reduce(0, +) + 2 * max(columns - 1, 0)
    guard let limit, total > limit else { return rows.map { line($0, widths) } }
    let text = (0..<min(leftColumns, columns)).max { widths[$0] < widths[$1] } ?? 0
    let room = widths[text] - (total - limit)
    let longestWord = rows.flatMap { text < $0.count ? $0[text].split(separator: " ") : [] }.map(\.count).max() ?? 0
    if room >= max(longestWord, 12) { return wrapped(text, to: room).lines(nil) }
    return columns > 2 ? split(limit, widths) : rows.map { line($0, widths) }
  }

  private func line(_ row: [String], _ widths: [Int]) -> String {
    var line = ""
    for (c, cell) in row.enumerated() {
      let fill = String(repeating: " ", count: widths[c] - cell.count)
      line += (c == 0 ? "" : "  ") + (c < leftColumns ? cell + fill : fill + cell)
    }
    while line.last == " " { line.removeLast() }
    return line
  }

  /// Returns the table with the words of one column on several lines of at most `room` characters.
  private func wrapped(_ column: Int, to room: Int) -> TextTable {
    var all: [[String]] = []
    for row in rows {
      let parts = column < row.count ? Self.parts(row[column], room) : [""]
      for (i, part) in parts.enumerated() {
        all.append(row.indices.map { $0 == column ? part : i == 0 ? row[$0] : "" })
      }
    }
    return TextTable(all, leftColumns: leftColumns)
  }

  private static func parts(_ text: String, _ room: Int) -> [String] {
    var parts = [""]
    for word in text.split(separator: " ", omittingEmptySubsequences: false) {
      let last = parts[parts.count - 1]
      if last.isEmpty {
        parts[parts.count - 1] = String(word)
      } else if last.count + 1 + word.count <= room {
        parts[parts.count - 1] = "\(last) \(word)"
      } else {
        parts.append(String(word))
      }
    }
    return parts
  }

  /// Returns the lines of two tables: the columns that fit, and the others beside the first column again.
  private func split(_ limit: Int, _ widths: [Int]) -> [String] {
    var (count, used) = (1, widths[0])
    while count < columns, used + 2 + widths[count] <= limit {
      used += 2 + widths[count]
      count += 1
    }
    count = max(count, 2)
    guard count < columns else { return rows.map { line($0, widths) } }
    let first = TextTable(rows.map { Array($0.prefix(count)) }, leftColumns: leftColumns)
    // A row without the later columns, such as that of the clean images, has no line in the second table.
    let rest = rows.filter { $0.count > count }.map { [$0[0]] + $0[count...] }
    return first.lines(nil) + [""] + TextTable(rest, leftColumns: max(1, leftColumns - count + 1)).lines(limit)
  }
}
