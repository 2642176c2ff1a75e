/// The curves of training.
extension ReportRuns {
  var trainingSection: ReportSection {
    let rates = runs.flatMap { $0.epochs.map(\.learningRate) }.filter { $0 > 0 }
    let spansDecades = (rates.max() ?? 1) > 20 * (rates.min() ?? 1)
    let charts = [
      chart("loss", "Training loss", "Mean loss over the perturbed training examples of an epoch.", y: Chart.Axis("loss")) {
        [series("", $0) { $0.train.loss }]
      },
      chart(
        "accuracy", "Accuracy",
        "Training: on the perturbed training examples. Validation: on held-out images, clean and under the training attack "
          + "(robust).",
        y: Chart.Axis("accuracy", isFraction: true)
      ) {
        [
          series("validation, clean", role: 0, $0) { $0.validation?.clean },
          series("validation, robust", role: 1, $0) { $0.validation?.robust },
          series("training, perturbed", role: 2, $0) { $0.train.accuracy },
        ]
      },
      chart("learning-rate", "Learning rate", "", form: .steps, y: Chart.Axis("learning rate", isLogarithmic: spansDecades)) {
        [series("", $0) { $0.learningRate }]
      },
      chart(
        "gradient-norm", "Gradient norm", "Mean over an epoch's batches of the joint L2 norm of the weights' gradients.",
        y: Chart.Axis("gradient norm", startsAtZero: true)
      ) { [series("", $0) { $0.gradientNorm }] },
      chart("seconds", "Time of an epoch", "Training without validation, in seconds.", y: Chart.Axis("seconds", startsAtZero: true))
      {
        [series("", $0) { $0.seconds }]
      },
    ]
    return ReportSection(id: "training", title: "Training", charts: charts.compactMap { $0 })
  }

  /// The curves of the curriculum: lambda, perturbations, steps, and the methods' own numbers.
  var curriculumSection: ReportSection {
    var charts = [
      chart(
        "lambda", "Difficulty λ",
        "The curriculum's parameter while an epoch was trained (the paper's Fig. 5); 1 is plain adversarial training.",
        form: .steps, y: Chart.Axis("λ", column: "lambda", startsAtZero: true)
      ) { [series("", $0) { $0.lambda }] },
      chart(
        "perturbation", "Perturbation norm",
        "Mean and largest size of the training perturbations in the threat model's norm (Fig. 6 shows the mean, without random "
          + "starts).",
        y: Chart.Axis("norm", column: "perturbation", startsAtZero: true)
      ) {
        [
          series("mean", role: 0, $0) { $0.perturbation.mean }, series("largest", role: 1, $0) { $0.perturbation.max },
        ]
      },
    ]
    charts.append(
      chart(
        "gap", "Gap of probabilities",
        "ψ of P-SAT for the perturbed training examples: the largest other probability minus the label's. The line is the median, "
          + "the band the quartiles.",
        y: Chart.Axis("ψ", column: "psi")
      ) {
        [series("", $0, { $0.psi?.p50 })?.between(runs[$0].epochs.compactMap(\.psi?.p25), runs[$0].epochs.compactMap(\.psi?.p75))]
      })
    charts += runs.indices.map(activeChart)
    charts += methodCharts
    return ReportSection(id: "curriculum", title: "Curriculum", charts: charts.compactMap { $0 })
  }

  /// Returns charts of the methods' own numbers. Quantiles of one number, such as `h-sat.score.05` to `.95`, share a chart.
  private var methodCharts: [Chart?] {
    let all = Set(runs.flatMap { $0.epochs.flatMap(\.methodNumbers.keys) })
    let spread = all.filter { $0.hasSuffix(".50") }.map { String($0.dropLast(3)) }.filter { name in
      ["05", "25", "75", "95"].allSatisfy { all.contains("\(name).\($0)") }
    }
    let quantiles = Set(spread.flatMap { name in ["05", "25", "50", "75", "95"].map { "\(name).\($0)" } })
    return (spread + all.subtracting(quantiles)).sorted().map { name in
      // Only epochs with a median count. Other missing quantiles are gaps.
      func numbers(_ run: Int, _ percent: String) -> [Double] {
        runs[run].epochs.filter { $0.methodNumbers["\(name).50"] != nil }.map { $0.methodNumbers["\(name).\(percent)"] ?? .nan }
      }
      let isSpread = spread.contains(name)
      return chart(
        "method-\(Self.slug(name))", name,
        isSpread ? "The method's number of each sample; line: median, band: quartiles." : "A number of this method.",
        y: Chart.Axis(name, column: name)
      ) { run in
        guard isSpread else { return [series("", run) { $0.methodNumbers[name] }] }
        return [series("", run) { $0.methodNumbers["\(name).50"] }?.between(numbers(run, "25"), numbers(run, "75"))]
      }
    }
  }

  private func activeChart(_ index: Int) -> Chart? {
    let run = runs[index]
    let epochs = run.epochs.filter { $0.active?.isEmpty == false }
    guard let steps = epochs.compactMap({ $0.active?.count }).max() else { return nil }
    let rows = epochs.map { epoch in (0..<steps).map { $0 < epoch.active!.count ? epoch.active![$0] : Double.nan } }
    let series = Chart.Series(
      name: run.name, run: index, x: .numbers((1...steps).map(Double.init)), y: epochs.map { Double($0.epoch) }, z: rows)
    return Chart(
      id: areSeveral ? "active-\(index + 1)" : "active", title: areSeveral ? "Samples moved: \(run.name)" : "Samples moved",
      note: "Mean fraction of a batch that moves in a step of the attack.", form: .heatmap, x: Chart.Axis("step", isCount: true),
      y: Chart.Axis("epoch", isCount: true), z: Chart.Axis("fraction moved", isFraction: true), series: [series])
  }

  /// Returns a name in lower-case letters, digits and hyphens, for a file name.
  static func slug(_ name: String) -> String {
    String(name.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" })
  }

  /// Fig. 4: sharpness during training.
  var smoothnessSection: ReportSection {
    let place = "On \(smoothnessImages), the same in every epoch (the paper's Fig. 4)."
    let charts = [
      chart("eigenvalue", "Largest Hessian eigenvalue", place, y: Chart.Axis("σ₁", column: "eigenvalue", startsAtZero: true)) {
        [series("", $0) { $0.smoothness?.eigenvalue }]
      },
      chart(
        "trace", "Trace of the Hessian", place + " The band is the estimate's standard error.",
        y: Chart.Axis("trace", startsAtZero: true)
      ) { [traceSeries($0)] },
      chart("smoothness-gradient", "Gradient norm on the subset", place, y: Chart.Axis("gradient norm", startsAtZero: true)) {
        [series("", $0) { $0.smoothness?.gradientNorm }]
      },
    ]
    return ReportSection(id: "smoothness", title: "Smoothness during training", charts: charts.compactMap { $0 })
  }

  /// The images of Fig. 4's measurements in words, from the configurations.
  private var smoothnessImages: String {
    let places = runs.filter { run in run.epochs.contains { $0.smoothness != nil } }.map { run in
      let threat = [run.setting("threat.norm"), run.setting("threat.epsilon").map { "radius \($0)" }].compactMap { $0 }.joined(
        separator: ", ")
      let samples = run.setting("smoothness.samples") ?? "some"
      return (run.name, "\(samples) training images, perturbed by the training attack" + (threat.isEmpty ? "" : " (\(threat))"))
    }
    if Set(places.map(\.1)).count == 1 { return places[0].1 }
    return places.map { "\($1) in \($0)" }.joined(separator: "; ")
  }

  private func traceSeries(_ index: Int) -> Chart.Series? {
    let errors = runs[index].epochs.compactMap { $0.smoothness?.traceError }
    let series = series("", index) { $0.smoothness?.trace }
    return series.map { $0.between(zip($0.y, errors).map { $0 - $1 }, zip($0.y, errors).map { $0 + $1 }) }
  }
}

extension EpochMetrics {
  /// The methods' own numbers by method and name: `h-sat.score.50`.
  fileprivate var methodNumbers: [String: Double] {
    Dictionary(uniqueKeysWithValues: methods.flatMap { method, numbers in numbers.map { ("\(method).\($0)", $1) } })
  }
}
