/// The text `sat compare` prints for a person.
public struct RunComparisonTable: CustomStringConvertible {
  private let comparison: RunComparison

  public init(_ comparison: RunComparison) { self.comparison = comparison }

  public var description: String {
    var parts = ["\(comparison.run) beside \(comparison.reference), tolerance \(Fraction(comparison.tolerance))\n"]
    if !comparison.configurationDifferences.isEmpty {
      parts.append("their configurations differ: \(comparison.configurationDifferences.joined(separator: ", "))\n")
    }
    parts.append(stepsText)
    if !comparison.epochs.isEmpty { parts.append(curves) }
    if let final = comparison.final { parts.append(figures(final)) }
    if let warning = comparison.warning { parts.append("warning: \(warning)\n") }
    return parts.joined(separator: "\n")
  }

  private var stepsText: String {
    guard let steps = comparison.steps else { return "no steps to compare: `sat train --log-steps` writes steps.jsonl\n" }
    let largest =
      "largest difference: loss \(Self.small(steps.largestLossDifference)), gradient norm "
      + "\(Self.small(steps.largestGradientNormDifference))\n"
    guard let first = steps.firstDifference else { return "all \(steps.compared) steps agree; " + largest }
    return "\(steps.compared) steps, the first difference at step \(first.at): \(first.quantity) \(Self.small(first.run)), "
      + "reference \(Self.small(first.reference)); " + largest
  }

  /// The table of epochs. A long run shows some epochs and the last.
  private var curves: String {
    let longest = 24
    let every = (comparison.epochs.count + longest - 1) / longest
    var rows = [
      ["epoch", "loss", "reference", "accuracy", "reference", "clean", "reference", "robust", "reference", "seconds", "reference"]
    ]
    for (i, epoch) in comparison.epochs.enumerated() where i % every == 0 || i == comparison.epochs.count - 1 {
      func both(_ pair: RunComparison.Pair?, _ text: (Double) -> String) -> [String] {
        pair.map { [text($0.run), text($0.reference)] } ?? ["", ""]
      }
      func share(_ value: Double) -> String { percent(value, 1) }
      rows.append(
        ["\(epoch.epoch + 1)"] + both(epoch.loss) { decimal($0, 4) } + both(epoch.accuracy, share) + both(epoch.clean, share)
          + both(epoch.robust, share) + both(epoch.seconds) { decimal($0, 1) })
    }
    return TextTable(rows, leftColumns: 0).description
  }

  private func figures(_ final: RunComparison.Final) -> String {
    func row(_ name: String, _ figure: RunComparison.Figure) -> [String] {
      func text(_ p: EvaluationDocument.Proportion) -> String { "\(percent(p.accuracy)) (\(p.range))" }
      return [name, text(figure.run), text(figure.reference), figure.agrees ? "yes" : "no"]
    }
    return TextTable([
      ["after epoch \(final.epoch + 1)", "run (95 % interval)", "reference", "agree"], row("clean", final.clean),
      row("robust", final.robust),
    ]).description
  }

  /// Returns a value with enough digits for small values too.
  private static func small(_ value: Double) -> String {
    guard value != 0, abs(value) < 0.001 else { return decimal(value, 6) }
    var (scaled, exponent) = (value, 0)
    while abs(scaled) < 1 {
      scaled *= 10
      exponent -= 1
    }
    return "\(decimal(scaled, 1))e\(exponent)"
  }
}
