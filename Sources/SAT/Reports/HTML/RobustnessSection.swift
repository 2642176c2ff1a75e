/// Charts and tables of the documents of `sat evaluate`, and its images.
extension Report {
  /// The accuracy by attack and by class, and the confusion under attack.
  var robustnessSection: ReportSection {
    var section = ReportSection(id: "robustness")
    let evaluations = runs.enumerated().flatMap { index, run in
      run.evaluations.map { (run: index, name: label($0.name, run), contents: $0.contents) }
    }
    for (i, evaluation) in evaluations.enumerated() {
      let suffix = evaluations.count > 1 ? "-\(i + 1)" : ""
      let (chart, table) = attacks(evaluation, "waterfall\(suffix)")
      section.tables.append(table)
      section.charts.append(chart)
      if !evaluation.contents.perClass.isEmpty { section.charts.append(classes(evaluation, "classes\(suffix)")) }
    }
    section.charts += confusionCharts
    return section
  }

  var imageSection: ReportSection {
    let shown = runs.flatMap { run in run.images.filter { !$0.contents.examples.isEmpty }.map { (run, $0) } }
    return ReportSection(
      id: "images",
      images: shown.map { run, document in
        let examples = document.contents
        let threat = examples.evaluation.threat.map { ", radius \(Self.text($0))" } ?? ""
        return .init(
          title: label(document.name, run),
          note: "The first \(examples.examples.count) of the \(examples.changed) images (of \(examples.total)) that "
            + "\(examples.evaluation.attackText) changed\(threat). In the change, white is +\(significant(examples.scale)), "
            + "black the opposite.", examples: examples)
      })
  }

  /// Returns a radius with its norm: "0.3 in L-inf".
  static func text(_ threat: ThreatModel) -> String { "\(significant(threat.epsilon)) in \(word(threat.norm.rawValue))" }

  /// Returns the name of a norm: "L-inf", "L2".
  static func word(_ norm: String) -> String { norm == "linf" ? "L-inf" : norm.uppercased() }

  private typealias Named = (run: Int, name: String, contents: EvaluationDocument)

  /// Returns what is left after each attack, as a chart and as a table.
  private func attacks(_ evaluation: Named, _ id: String) -> (Chart, ReportSection.Table) {
    let contents = evaluation.contents
    let total = contents.data.samples
    let costs = contents.attacks.map { ["\(decimal($0.seconds, 1)) s", "\($0.forward)", "\($0.backward)"] }
    let counts = [("clean", contents.clean.correct)] + contents.attacks.map { ($0.name, $0.robust) }
    let shares = counts.map { EvaluationDocument.Proportion($0.1, of: total) }
    let rows = zip(zip(counts, shares), [["", "", ""]] + costs).map { entry, cost in
      [entry.0.0, "\(entry.0.1) of \(total)", percent(entry.1.accuracy), "\(entry.1.range) %"] + cost
    }
    let attack = contents.attacks.isEmpty ? "no attack" : contents.attackText
    let place = contents.threat.map { ", radius \(Self.text($0))" } ?? ""
    let heading = ["attack", "correct", "accuracy", "95 % interval", "time", "forward passes", "backward passes"]
    let chart = Chart(
      id: id, title: "By attack: \(evaluation.name)",
      note: contents.isIndividual ? "Each attack alone." : "Samples left after each attack, in order.", form: .bars,
      x: Chart.Axis("attack", words: counts.map(\.0)), y: Chart.Axis("accuracy", .fraction),
      series: [
        .init(
          name: evaluation.name, run: evaluation.run, x: counts.indices.map(Double.init), y: shares.map(\.accuracy),
          low: shares.map { $0.interval[0] }, high: shares.map { $0.interval[1] })
      ])
    return (chart, .init(caption: "\(evaluation.name): \(attack)\(place), \(contents.data)", rows: [heading] + rows))
  }

  private func classes(_ evaluation: Named, _ id: String) -> Chart {
    let classes = evaluation.contents.perClass
    func series(_ name: String, _ role: Int, _ count: KeyPath<Evaluation.ClassResult, Int>) -> Chart.Series {
      Chart.Series(
        name: name, run: evaluation.run, role: role, x: classes.indices.map(Double.init),
        y: classes.map { Double($0[keyPath: count]) / Double(max($0.samples, 1)) })
    }
    return Chart(
      id: id, title: "By class: \(evaluation.name)", form: .bars, x: Chart.Axis("class", words: classes.map { "\($0.class)" }),
      y: Chart.Axis("accuracy", .fraction), series: [series("clean", 0, \.clean), series("robust", 1, \.robust)])
  }

  /// The share of each class's images that the network gives each answer under attack.
  private var confusionCharts: [Chart] {
    let known = runs.enumerated().flatMap { index, run in
      run.images.compactMap { image in image.contents.confusion.map { (run: index, name: label(image.name, run), shares: $0) } }
    }
    return known.enumerated().map { i, confusion in
      let classes = confusion.shares.indices.map(Double.init)
      return Chart(
        id: "confusion" + (known.count > 1 ? "-\(i + 1)" : ""), title: "Confusion under attack: \(confusion.name)", form: .heatmap,
        x: Chart.Axis("answer", .count), y: Chart.Axis("true class", .count),
        z: Chart.Axis("share of the class", .fraction, column: "share"),
        series: [.init(name: confusion.name, run: confusion.run, x: classes, y: classes, z: confusion.shares)])
    }
  }
}
