/// Compares the figures in an evaluation's document with the figures that its flags and the labels give.
struct ClaimCheck {
  /// One sentence for each wrong figure, with the counted value.
  private(set) var contradictions: [String] = []
  private let document: EvaluationDocument
  private let labels: [Int]

  init(_ document: EvaluationDocument, labels: [Int]) {
    self.document = document
    self.labels = labels
    compare("data.samples", document.data.samples, labels.count)
    checkAttacks()
    compare("clean", document.clean)
    compare("robust", document.robust)
    checkClasses()
  }

  private func flags(_ name: String) -> [Int] { document.flags[name] ?? [] }

  private mutating func checkAttacks() {
    var left = flags("clean")
    for attack in document.attacks {
      let own = flags(attack.name)
      guard own.count == labels.count else {
        contradictions.append("flags.\(attack.name) does not have \(labels.count) samples")
        continue
      }
      compare("attacks.\(attack.name).robust", attack.robust, own.count { $0 == 1 })
      left = zip(left, own).map { min($0, $1) }
    }
    if left != flags("robust") { contradictions.append("flags.robust are not the worst case over the attacks") }
  }

  private mutating func checkClasses() {
    func isRight(_ flag: String) -> [Bool] { flags(flag).map { $0 == 1 } }
    let counted = Evaluation.ClassResult.counted(labels: labels, clean: isRight("clean"), robust: isRight("robust"))
    if document.perClass.filter({ $0.samples != 0 }) != counted { contradictions.append("perClass differs from the counts") }
  }

  private mutating func compare(_ name: String, _ stated: Int, _ counted: Int) {
    if stated != counted { contradictions.append("\(name) is \(stated), counted \(counted)") }
  }

  private mutating func compare(_ name: String, _ stated: EvaluationDocument.Proportion?) {
    guard let stated else {
      contradictions.append("\(name) is missing")
      return
    }
    let counted = EvaluationDocument.Proportion(flags(name).count { $0 == 1 }, of: labels.count)
    compare("\(name).correct", stated.correct, counted.correct)
    // Another tool may have rewritten the document with fewer decimals.
    func isClose(_ a: Double, _ b: Double) -> Bool { abs(a - b) <= 1e-9 }
    if !isClose(stated.accuracy, counted.accuracy) {
      contradictions.append("\(name).accuracy is \(stated.accuracy), counted \(counted.accuracy)")
    }
    if stated.interval.count != 2 || !zip(stated.interval, counted.interval).allSatisfy(isClose) {
      contradictions.append("\(name).interval is \(stated.interval), counted \(counted.interval)")
    }
  }
}
