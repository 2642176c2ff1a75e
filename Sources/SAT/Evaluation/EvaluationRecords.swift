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

  /// Returns the lines in data order.
  ///
  /// - Parameter first: The position of the first sample in the whole data set.
  public static func text(_ evaluation: Evaluation, first: Int = 0) throws -> String {
    let records = Dictionary(grouping: evaluation.records, by: \.sample)
    let robust = evaluation.robust
    var text = ""
    for (sample, label) in evaluation.labels.enumerated() {
      let line = Line(sample: first + sample, label: label, clean: evaluation.predictions[sample], robust: robust[sample])
      let lines = (records[sample] ?? []).map { record in
        var broken = line
        broken.attack = record.attack
        broken.target = record.finding.target
        broken.restart = record.finding.restart
        broken.step = record.finding.step
        broken.norm = record.norm
        return broken
      }
      for entry in lines.isEmpty ? [line] : lines { text += try JSONText.line(entry) }
    }
    return text
  }
}
