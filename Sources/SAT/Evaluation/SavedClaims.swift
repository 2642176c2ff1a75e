internal import Foundation

/// The figures that a saved evaluation's document states, set against its own flags and the labels.
struct SavedClaims: Decodable {
  private struct Data: Decodable { var samples: Int }
  private struct Proportion: Decodable {
    var correct: Int
    var accuracy: Double
    var interval: [Double]
  }
  private struct Attack: Decodable {
    var name: String
    var robust: Int
  }

  private var format: String
  private var data: Data
  private var clean: Proportion
  private var robust: Proportion
  private var attacks: [Attack]
  private var perClass: [Evaluation.ClassResult]
  private var flags: [String: [Int]]

  /// What is not so, each with the figure that follows from flags and labels.
  ///
  /// - Parameter document: the JSON text.
  static func contradictions(in document: String, labels: [Int]) -> [String] {
    guard let claims = try? JSONDecoder().decode(SavedClaims.self, from: Foundation.Data(document.utf8)) else {
      return ["its figures cannot be read"]
    }
    return claims.contradictions(labels)
  }

  private func contradictions(_ labels: [Int]) -> [String] {
    var wrong: [String] = []
    func compare<Value: Equatable>(_ name: String, _ stated: Value, _ counted: Value) {
      if stated != counted { wrong.append("\(name) is \(stated), counted \(counted)") }
    }
    func compare(_ name: String, _ stated: Proportion, _ flags: [Int]) {
      let counted = EvaluationReport.Proportion(flags.count { $0 == 1 }, of: labels.count)
      compare("\(name).correct", stated.correct, counted.correct)
      // Decimals may have been shortened by a tool that wrote the document again.
      if abs(stated.accuracy - counted.accuracy) > 1e-9 { wrong.append("\(name).accuracy is \(stated.accuracy), counted \(counted.accuracy)") }
      let isClose = stated.interval.count == 2 && zip(stated.interval, counted.interval).allSatisfy { abs($0 - $1) <= 1e-9 }
      if !isClose { wrong.append("\(name).interval is \(stated.interval), counted \(counted.interval)") }
    }
    compare("format", format, "sat-evaluation/1")
    compare("data.samples", data.samples, labels.count)
    let right = flags["clean"] ?? []
    var left = right
    for attack in attacks {
      guard let own = flags[attack.name], own.count == labels.count else {
        wrong.append("flags have no \(attack.name) of \(labels.count) samples")
        continue
      }
      compare("attacks.\(attack.name).robust", attack.robust, own.count { $0 == 1 })
      left = zip(left, own).map { min($0, $1) }
    }
    let standing = flags["robust"] ?? []
    if left != standing { wrong.append("flags.robust are not the worst case over the attacks") }
    compare("clean", clean, right)
    compare("robust", robust, standing)
    var classes: [Int: Evaluation.ClassResult] = [:]
    for (i, label) in labels.enumerated() {
      var entry = classes[label] ?? .init(class: label, samples: 0, clean: 0, robust: 0)
      entry.samples += 1
      entry.clean += right[i]
      entry.robust += standing[i]
      classes[label] = entry
    }
    let counted = classes.values.sorted { $0.class < $1.class }
    if perClass.filter({ $0.samples != 0 }) != counted { wrong.append("perClass is not what is counted") }
    return wrong
  }
}
