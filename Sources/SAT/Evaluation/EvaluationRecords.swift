/// Writes the per-sample results of an evaluation as JSON lines: one per attack that broke a sample, one per unbroken sample.
public enum EvaluationRecords {
  private struct Line: Encodable {
    var sample: Int
    var label: Int
    /// The model's prediction on the clean image.
    var clean: Int
    var robust: Bool
    var attack: String?
    var target: Int?
    var restart: Int?
    /// The iterate's number; 0 for the attack's starting point.
    var step: Int?
    /// The perturbation's size in the threat model's norm.
    var norm: Double?
  }

  /// Returns the lines in data order. `first` is the first sample's position in the whole data set.
  public static func text(_ evaluation: Evaluation, first: Int = 0) throws -> String {
    let records = Dictionary(grouping: evaluation.records, by: \.sample)
    let robust = evaluation.robust
    var text = ""
    for (sample, label) in evaluation.labels.enumerated() {
      let found: [Evaluation.Record?] = records[sample] ?? [nil]
      for record in found {
        text += try JSONText.line(
          Line(
            sample: first + sample, label: label, clean: evaluation.predictions[sample], robust: robust[sample],
            attack: record?.attack, target: record?.finding.target, restart: record?.finding.restart, step: record?.finding.step,
            norm: record?.norm))
      }
    }
    return text
  }
}
