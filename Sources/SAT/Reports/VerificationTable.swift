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
      robust accuracy, counted anew: \(robust.correct)/\(samples), \(percent(robust.accuracy)) (\(robust.range))
      largest perturbation: \(largest)
      as bytes: \(eightBit.misclassified) of \(verification.adversarial) are still misclassified, \
      \(eightBit.withinEpsilon) of them within epsilon; rounded towards the original \(eightBit.towardsOriginal)
      \(verification.warnings.map { "warning: \($0.message)\n" }.joined())
      """
  }

  private var checks: TextTable {
    var rows = [["check", "", "what"]]
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
