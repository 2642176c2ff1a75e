/// The text `sat evaluate` prints for a person.
public struct EvaluationTable: CustomStringConvertible {
  private let evaluation: Evaluation
  private let heading: String
  private let isIndividual: Bool

  /// - Parameter isIndividual: whether each attack was run by itself, so that the worst case is a row of its own.
  public init(_ evaluation: Evaluation, heading: String, isIndividual: Bool = false) {
    (self.evaluation, self.heading, self.isIndividual) = (evaluation, heading, isIndividual)
  }

  public var description: String {
    let total = evaluation.labels.count
    var rows = [["", "correct", "accuracy", "95 % interval", "seconds", "share", "forward", "backward"]]
    rows.append(row("clean", evaluation.cleanCorrect, total))
    for attack in evaluation.attacks { rows.append(row(attack.name, attack.robust, total, attack)) }
    if isIndividual && evaluation.attacks.count > 1 { rows.append(row("worst case", evaluation.robustCorrect, total)) }
    var text = heading + "\n\n" + TextTable(rows).description
    if !evaluation.attacks.isEmpty {
      var classes = [["class", "samples", "clean", "robust"]]
      for entry in evaluation.perClass {
        classes.append([
          "\(entry.class)", "\(entry.samples)", Self.percent(entry.clean, entry.samples), Self.percent(entry.robust, entry.samples),
        ])
      }
      text += "\n" + TextTable(classes).description
    }
    return text
  }

  private func row(_ name: String, _ correct: Int, _ total: Int, _ attack: Evaluation.Outcome? = nil) -> [String] {
    let interval = wilsonInterval(correct, of: total)
    let cells = [
      name, "\(correct)/\(total)", Self.percent(correct, total),
      "\(decimal(100 * interval.lowerBound, 2)) – \(decimal(100 * interval.upperBound, 2))",
    ]
    guard let attack else { return cells }
    let all = evaluation.attacks.reduce(0) { $0 + $1.seconds }
    return cells + [
      decimal(attack.seconds, 1), all > 0 ? decimal(100 * attack.seconds / all, 0) + " %" : "", "\(attack.cost.forward)",
      "\(attack.cost.backward)",
    ]
  }

  private static func percent(_ count: Int, _ total: Int) -> String { decimal(100 * Double(count) / Double(total), 2) + " %" }
}

/// Columns of text: the first to the left, the others to the right.
public struct TextTable: CustomStringConvertible {
  private let rows: [[String]]
  private let leftColumns: Int

  /// - Parameters:
  ///   - rows: the heading first.
  ///   - leftColumns: how many columns are set to the left.
  public init(_ rows: [[String]], leftColumns: Int = 1) { (self.rows, self.leftColumns) = (rows, leftColumns) }

  public var description: String {
    let columns = rows.map(\.count).max() ?? 0
    let widths = (0..<columns).map { c in rows.map { c < $0.count ? $0[c].count : 0 }.max() ?? 0 }
    let lines = rows.map { row in
      var line = ""
      for (c, cell) in row.enumerated() {
        let fill = String(repeating: " ", count: widths[c] - cell.count)
        line += (c == 0 ? "" : "  ") + (c < leftColumns ? cell + fill : fill + cell)
      }
      while line.last == " " { line.removeLast() }
      return line
    }
    return lines.joined(separator: "\n") + "\n"
  }
}

/// A number with a fixed count of decimals, whatever the locale.
public func decimal(_ value: Double, _ places: Int) -> String {
  guard value.isFinite else { return "\(value)" }
  var scale = 1.0
  for _ in 0..<places { scale *= 10 }
  let scaled = (abs(value) * scale).rounded()
  guard scaled < 1e15 else { return "\(value)" }
  let whole = Int(scaled)
  let sign = value < 0 && whole != 0 ? "-" : ""
  if places == 0 { return sign + "\(whole)" }
  let part = String(whole % Int(scale))
  return sign + "\(whole / Int(scale))." + String(repeating: "0", count: places - part.count) + part
}
