/// The curves of training. A chart that could only be constant is absent.
extension Report {
  var trainingSection: ReportSection {
    var charts = [
      chart("accuracy", "Accuracy", y: Chart.Axis("accuracy", .fraction)) {
        [
          series("validation, clean", role: 0, $0) { $0.validation?.clean },
          series("validation, robust", role: 1, $0) { $0.validation?.robust },
          series("training, perturbed", role: 2, $0) { $0.train.accuracy },
        ]
      },
      chart("loss", "Training loss", y: Chart.Axis("loss")) { [series("", $0) { $0.train.loss }] },
      chart("lambda", "Difficulty λ", form: .steps, y: Chart.Axis("λ", .fromZero, column: "lambda")) {
        [runs[$0].setting("lambda.kind") == "constant" ? nil : series("", $0) { $0.lambda }]
      },
      chart("perturbation", "Perturbation norm", y: Chart.Axis("norm", .fromZero, column: "perturbation")) {
        [series("mean", $0) { $0.perturbation.mean }, series("largest", role: 1, $0) { $0.perturbation.max }]
      },
      chart("gap", "Gap of probabilities ψ", y: Chart.Axis("ψ", column: "psi")) {
        [series("", $0, { $0.psi?.p50 }, low: { $0.psi?.p25 }, high: { $0.psi?.p75 })]
      },
    ]
    charts += runs.indices.map(activeChart)
    charts += methodCharts
    charts += [
      chart("gradient-norm", "Gradient norm", y: Chart.Axis("gradient norm", .fromZero)) {
        [series("", $0) { $0.gradientNorm }]
      },
      chart("learning-rate", "Learning rate", form: .steps, y: Chart.Axis("learning rate", .logarithmic)) {
        [runs[$0].setting("learningRateSchedule.kind") == "constant" ? nil : series("", $0) { $0.learningRate }]
      },
      chart("seconds", "Time of an epoch", y: Chart.Axis("seconds", .fromZero)) { [series("", $0) { $0.seconds }] },
    ]
    return ReportSection(id: "training", charts: charts.compactMap { $0 })
  }

  /// Returns charts of the methods' own numbers. Quantiles of one number, such as `h-sat.score.05` to `.95`, share a chart.
  private var methodCharts: [Chart?] {
    let all = Set(runs.flatMap { $0.epochs.flatMap(\.methodNumbers.keys) })
    let ends = [".05", ".25", ".50", ".75", ".95"]
    let spread = all.filter { $0.hasSuffix(".50") }.map { String($0.dropLast(3)) }.filter { name in
      ends.allSatisfy { all.contains(name + $0) }
    }
    return (spread + all.subtracting(spread.flatMap { name in ends.map { name + $0 } })).sorted().map { name in
      func value(_ end: String) -> (EpochMetrics) -> Double? { { $0.methodNumbers[name + end] } }
      return chart("method-\(Self.slug(name))", name, y: Chart.Axis(name, column: name)) {
        [spread.contains(name) ? series("", $0, value(".50"), low: value(".25"), high: value(".75")) : series("", $0, value(""))]
      }
    }
  }

  /// Returns the chart of the samples that move in each step; nil if all move always.
  private func activeChart(_ index: Int) -> Chart? {
    let run = runs[index]
    let epochs = run.epochs.filter { $0.active?.isEmpty == false }
    let moved = epochs.compactMap(\.active)
    guard let steps = moved.map(\.count).max(), moved.joined().contains(where: { $0 != 1 }) else { return nil }
    let rows = moved.map { $0 + Array(repeating: .nan, count: steps - $0.count) }
    return Chart(
      id: areSeveral ? "active-\(index + 1)" : "active", title: areSeveral ? "Samples moved: \(run.name)" : "Samples moved",
      form: .heatmap, x: Chart.Axis("step", .count), y: Chart.Axis("epoch", .count),
      z: Chart.Axis("fraction moved", .fraction),
      series: [
        .init(
          name: run.name, run: index, x: (1...steps).map(Double.init), y: epochs.map { Double($0.epoch + 1) }, z: rows)
      ])
  }

  /// Returns a name in lower-case letters, digits and hyphens, for a file name.
  static func slug(_ name: String) -> String {
    String(name.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" })
  }
}

extension RunRecord {
  /// The epochs that every curve marks: the best one, and the begins and ends of lambda's changes. They count from 0.
  var marks: [(epoch: Int, text: String)] {
    let points = epochs.compactMap { epoch in epoch.lambda.map { (epoch: epoch.epoch, value: $0) } }
    let phases = points.indices.dropFirst().compactMap { i -> (epoch: Int, text: String)? in
      let (before, here) = (points[i - 1].value, points[i].value)
      guard here != before else { return nil }
      if i + 1 == points.count || points[i + 1].value == here { return (points[i].epoch, "λ \(significant(here))") }
      let starts = i == 1 || points[i - 2].value == before
      return starts ? (points[i].epoch, here > before ? "λ rises" : "λ falls") : nil
    }
    return (best.map { [($0.epoch, "best")] } ?? []) + phases
  }
}

extension EpochMetrics {
  /// The methods' own numbers by method and name: `h-sat.score.50`.
  fileprivate var methodNumbers: [String: Double] {
    Dictionary(uniqueKeysWithValues: methods.flatMap { method, numbers in numbers.map { ("\(method).\($0)", $1) } })
  }
}
