/// The text `sat evaluate` prints for a person.
public struct EvaluationTable: CustomStringConvertible {
  private let evaluation: Evaluation
  private let heading: String
  private let isIndividual: Bool

  /// Makes the text. If each attack ran by itself, the worst case has its own row.
  public init(_ evaluation: Evaluation, heading: String, isIndividual: Bool = false) {
    self.evaluation = evaluation
    self.heading = heading
    self.isIndividual = isIndividual
  }

  public var description: String {
    var rows = [["", "correct", "accuracy", "95 % interval", "seconds", "share", "forward", "backward"]]
    rows.append(row("clean", evaluation.cleanCorrect))
    rows += evaluation.attacks.map { row($0.name, $0.robust, $0) }
    if isIndividual && evaluation.attacks.count > 1 { rows.append(row("worst case", evaluation.robustCorrect)) }
    let text = heading + "\n\n" + TextTable(rows).description
    if evaluation.attacks.isEmpty { return text }
    let classes = evaluation.perClass.map { entry in
      ["\(entry.class)", "\(entry.samples)", Self.share(entry.clean, entry.samples), Self.share(entry.robust, entry.samples)]
    }
    return text + "\n" + TextTable([["class", "samples", "clean", "robust"]] + classes).description
  }

  private func row(_ name: String, _ correct: Int, _ attack: Evaluation.Outcome? = nil) -> [String] {
    let total = evaluation.labels.count
    let interval = wilsonInterval(correct, of: total)
    let cells = [name, "\(correct)/\(total)", Self.share(correct, total), percentRange(interval.lowerBound, interval.upperBound)]
    guard let attack else { return cells }
    let all = evaluation.attacks.reduce(0) { $0 + $1.seconds }
    return cells + [
      decimal(attack.seconds, 1), all > 0 ? percent(attack.seconds / all, 0) : "", "\(attack.cost.forward)",
      "\(attack.cost.backward)",
    ]
  }

  private static func share(_ count: Int, _ total: Int) -> String { percent(Double(count) / Double(total)) }
}

extension EvaluationDocument.Proportion {
  /// The interval in per cent: "82.60 – 94.50".
  var range: String { percentRange(interval[0], interval[1]) }
}
