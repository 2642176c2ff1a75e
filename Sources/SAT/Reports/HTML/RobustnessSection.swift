/// Charts and tables of the documents of `sat evaluate`, and its images.
extension ReportRuns {
  var robustnessSection: ReportSection {
    var section = ReportSection(id: "robustness", title: "Robustness")
    let evaluations = evaluations
    for (index, evaluation) in evaluations.enumerated() {
      let suffix = evaluations.count > 1 ? "-\(index + 1)" : ""
      section.charts.append(waterfall(evaluation, id: "waterfall\(suffix)", isOne: evaluations.count == 1))
    }
    for (index, evaluation) in evaluations.enumerated() where !evaluation.contents.perClass.isEmpty {
      let suffix = evaluations.count > 1 ? "-\(index + 1)" : ""
      section.charts.append(perClass(evaluation, id: "classes\(suffix)", isOne: evaluations.count == 1))
    }
    for evaluation in evaluations {
      section.tables.append(Self.attackTable(evaluation))
      section.notes += evaluation.contents.warnings.map { "Warning of \(evaluation.name): \($0.message)." }
    }
    return section
  }

  var imageSection: ReportSection {
    var section = ReportSection(id: "images", title: "Adversarial images")
    for run in runs {
      for document in run.images {
        let examples = document.contents
        let threat = examples.evaluation.threat.map { "\($0.norm.rawValue), radius \(Self.brief($0.epsilon))" } ?? ""
        section.images.append(
          .init(
            title: label("\(document.name)", run),
            note:
              "The first \(examples.examples.count) of the \(examples.changed) images (of \(examples.total)) that the attack "
              + "changed; "
              + "\(threat). Rows: the original, the attacked image, the change (grey is none, black and white are "
              + "−\(Self.brief(examples.scale)) and +\(Self.brief(examples.scale))). The paper's Fig. 8.",
            examples: examples))
      }
    }
    return section
  }

  private typealias Named = (run: Int, name: String, contents: EvaluationDocument)

  private var evaluations: [Named] {
    runs.enumerated().flatMap { index, run in run.evaluations.map { (index, label($0.name, run), $0.contents) } }
  }

  private func waterfall(_ evaluation: Named, id: String, isOne: Bool) -> Chart {
    let contents = evaluation.contents
    let counts = [("clean", contents.clean.correct)] + contents.attacks.map { ($0.name, $0.robust) }
    let total = contents.data.samples
    let intervals = counts.map { wilsonInterval(min(max($0.1, 0), total), of: max(total, 1)) }
    return Chart(
      id: id, title: "Accuracy under attack" + (isOne ? "" : ": \(evaluation.name)"),
      note: (contents.isIndividual ? "After each attack alone" : "Remaining accuracy after each attack, in order")
        + "; \(total) \(contents.data.split) images of \(contents.data.name)\(Self.threatText(contents)). The whiskers are "
        + "Wilson's 95 % interval.",
      form: .bars, x: Chart.Axis("attack"), y: Chart.Axis("accuracy", isFraction: true),
      series: [
        Chart.Series(
          name: evaluation.name, run: evaluation.run, x: .words(counts.map(\.0)),
          y: counts.map { Double($0.1) / Double(max(total, 1)) },
          low: intervals.map(\.lowerBound), high: intervals.map(\.upperBound))
      ])
  }

  private func perClass(_ evaluation: Named, id: String, isOne: Bool) -> Chart {
    let classes = evaluation.contents.perClass
    func series(_ name: String, _ role: Int, _ count: KeyPath<Evaluation.ClassResult, Int>) -> Chart.Series {
      Chart.Series(
        name: name, run: evaluation.run, role: role, x: .words(classes.map { "\($0.class)" }),
        y: classes.map { Double($0[keyPath: count]) / Double(max($0.samples, 1)) })
    }
    return Chart(
      id: id, title: "Accuracy by class" + (isOne ? "" : ": \(evaluation.name)"),
      note: "Clean, and robust after all attacks, by the true class.", form: .bars, x: Chart.Axis("class"),
      y: Chart.Axis("accuracy", isFraction: true), series: [series("clean", 0, \.clean), series("robust", 1, \.robust)])
  }

  private static func attackTable(_ evaluation: Named) -> ReportSection.Table {
    let contents = evaluation.contents
    var rows = [["attack", "correct", "accuracy", "95 % interval", "seconds", "forward", "backward"]]
    func row(_ name: String, _ correct: Int) -> [String] {
      let total = max(contents.data.samples, 1)
      let interval = wilsonInterval(min(max(correct, 0), total), of: total)
      return [
        name, "\(correct)/\(contents.data.samples)", percent(Double(correct) / Double(total)),
        "\(percent(interval.lowerBound)) – \(percent(interval.upperBound))",
      ]
    }
    rows.append(row("clean", contents.clean.correct) + ["", "", ""])
    for attack in contents.attacks {
      rows.append(row(attack.name, attack.robust) + [decimal(attack.seconds, 1), "\(attack.forward)", "\(attack.backward)"])
    }
    return .init(caption: "\(evaluation.name)\(threatText(contents)); forward and backward count samples, not batches", rows: rows)
  }

  private static func threatText(_ evaluation: EvaluationDocument) -> String {
    evaluation.threat.map { "; \($0.norm.rawValue), radius \(brief($0.epsilon))" } ?? ""
  }
}
