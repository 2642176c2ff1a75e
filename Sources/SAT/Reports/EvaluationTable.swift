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
    var rows = [["", "correct", "accuracy", "95 % interval", "seconds", "of time", "forward", "backward"]]
    rows.append(row("clean", evaluation.cleanCorrect))
    rows += evaluation.attacks.map { row($0.name, $0.robust, $0) }
    if isIndividual && evaluation.attacks.count > 1 { rows.append(row("worst case", evaluation.robustCorrect)) }
    let table = heading + "\n\n" + TextTable(rows).description
    if evaluation.attacks.isEmpty { return table }
    let text = table + Self.legend
    let classes = evaluation.perClass.map { entry in
      ["\(entry.class)", "\(entry.samples)", Self.share(entry.clean, entry.samples), Self.share(entry.robust, entry.samples)]
    }
    return text + "\n" + TextTable([["class", "samples", "clean", "robust"]] + classes).description
  }

  private static let legend = """
    of time: share of the attacks' seconds; forward: images that passed through the model;
    backward: images whose gradient was computed

    """

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

/// The text `sat verify` prints for a person.
public struct VerificationTable: CustomStringConvertible {
  private let verification: Verification

  public init(_ verification: Verification) { self.verification = verification }

  public var description: String {
    let (robust, eightBit, samples) = (verification.robust, verification.eightBit, verification.samples)
    return """
      \(verification.file): \(verification.adversarial) adversarial of \(samples) images, \(verification.threat.norm.rawValue), \
      epsilon \(Fraction(verification.threat.epsilon)); model \(verification.model)

      \(checks)
      robust accuracy, counted again: \(robust.correct)/\(samples), \(percent(robust.accuracy)) (\(robust.range))
      largest perturbation: \(largest)
      stored as 8-bit pixels: \(eightBit.misclassified) of the \(verification.adversarial) adversarial images still fool the \
      model, \(eightBit.withinEpsilon) of these within epsilon
      rounded towards the clean image, which keeps them within epsilon: \(eightBit.towardsOriginal) still fool the model
      \(verification.warnings.map { "warning: \($0.message)\n" }.joined())
      """
  }

  private var checks: TextTable {
    var rows = [["check", "result", "meaning"]]
    for check in verification.checks {
      let some = check.failed.prefix(5).map(String.init).joined(separator: ", ") + (check.failed.count > 5 ? ", …" : "")
      let exceptions =
        check.failed.isEmpty ? check.contradictions.joined(separator: "; ") : "not for \(check.failed.count) (\(some))"
      rows.append([check.name, check.holds ? "holds" : "FAILS", check.question + (check.holds ? "" : ": \(exceptions)")])
    }
    return TextTable(rows, leftColumns: 3)
  }

  private var largest: String {
    guard let size = verification.largestPerturbation else { return "none, a pixel is not a number" }
    return "\(decimal(size, 6)), \(percent(size / verification.threat.epsilon, 1)) of epsilon"
  }
}
