/// A document with numbers that were measured at images.
private struct Measured<Contents> {
  var run: Int
  /// The index of the document in the page, or in its run if the page shows several runs.
  var role: Int
  var name: String
  /// The images in words, such as "adversarial (linf, radius 0.1), 128 train images of digits".
  var images: String
  var contents: Contents

  func series(
    _ x: [Double], _ y: [Double], low: [Double]? = nil, high: [Double]? = nil, z: [[Double]]? = nil, panel: String? = nil
  ) -> Chart.Series {
    .init(name: name, run: run, role: role, x: x, y: y, low: low, high: high, z: z, panel: panel)
  }
}

/// Charts of the curvature: during training, of the Hessian, and of the landscape.
extension Report {
  var curvatureSection: ReportSection {
    let hessians = measured(\.hessians) { Self.images($0.data, $0.perturbation) }
    let landscapes = measured(\.landscapes) {
      Self.images($0.data, $0.perturbation, $0.examples == "reattack" ? ", attacked at every point" : "")
    }
    let scores = Set(hessians.flatMap { $0.contents.perSample?.approximations.map { Array($0.keys) } ?? [] }).map { key in
      (key: key, correlations: hessians.map { ($0.contents.perSample?.spearman?[key] ?? nil) ?? .nan })
    }.sorted { a, b in
      // A score without a correlation comes last.
      let (x, y) = (a.correlations.filter(\.isFinite).max() ?? -2, b.correlations.filter(\.isFinite).max() ?? -2)
      return x != y ? x > y : a.key < b.key
    }
    var section = ReportSection(id: "curvature")
    let charts = smoothnessCharts + hessianCharts(hessians, scores: scores.map(\.key)) + landscapeCharts(landscapes)
    section.charts = charts.compactMap { $0 }
    section.tables = [
      ReportSection.Table(
        caption: "The loss that the Hessian is taken of, and the trace with its standard error",
        rows: [["document", "measured at", "loss", "gradient norm", "trace", "parameters", "samples"]]
          + hessians.map { document in
            let hessian = document.contents
            let trace = hessian.trace.map { "\(significant($0.mean)) ± \(significant($0.standardError))" } ?? ""
            let numbers = [significant(hessian.loss), significant(hessian.gradientNorm), trace]
            return [document.name, document.images] + numbers + ["\(hessian.parameters)", "\(hessian.samples)"]
          }),
      ReportSection.Table(
        caption: "Scores by Spearman's rank correlation with the exact eigenvalue, the best first",
        rows: [["score"] + hessians.map(\.name)]
          + scores.enumerated().map { rank, score in
            ["\(rank + 1). \(score.key)"] + zip(score.correlations, hessians).map { Self.text($0, count: $1.contents.samples) }
          }),
    ].filter { $0.rows.count > 1 }
    return section
  }

  private static func text(_ correlation: Double, count: Int) -> String {
    guard correlation.isFinite else { return "not defined" }
    let range = Spearman.interval(correlation, count: count)
    return decimal(correlation, 4)
      + (range.map { "\n95 % interval \(decimal($0.lowerBound, 2)) – \(decimal($0.upperBound, 2))" } ?? "")
  }

  /// Fig. 4: sharpness during training.
  private var smoothnessCharts: [Chart?] {
    let places = runs.filter { run in run.epochs.contains { $0.smoothness != nil } }.map { run in
      let threat = "(\(run.setting("threat.norm") ?? "its norm"), radius \(run.setting("threat.epsilon") ?? "unknown"))"
      let images = "\(run.setting("smoothness.samples") ?? "some") training images, perturbed by the training attack \(threat)"
      return (run: run.name, images: images)
    }
    let isOne = Set(places.map(\.images)).count == 1
    let place =
      "On " + (isOne ? places[0].images : places.map { "\($0.images) in \($0.run)" }.joined(separator: "; "))
      + ", the same in every epoch."
    return [
      chart("eigenvalue", "Largest eigenvalue by epoch", place, y: Chart.Axis("eigenvalue", .fromZero)) {
        [series("", $0) { $0.smoothness?.eigenvalue }]
      },
      chart("trace", "Trace by epoch", place, y: Chart.Axis("trace", .fromZero)) {
        [
          series(
            "", $0, { $0.smoothness?.trace }, low: { $0.smoothness.map { $0.trace - $0.traceError } },
            high: { $0.smoothness.map { $0.trace + $0.traceError } })
        ]
      },
      chart("smoothness-gradient", "Gradient norm by epoch", place, y: Chart.Axis("gradient norm", .fromZero)) {
        [series("", $0) { $0.smoothness?.gradientNorm }]
      },
    ]
  }

  private static func images(
    _ data: ImageDataset.Summary, _ perturbation: InnerMaximizer.Summary?, _ attack: String = ""
  ) -> String {
    let place = perturbation.map { "adversarial (\($0.norm.rawValue), radius \(significant($0.epsilon))\(attack))" }
    return "\(place ?? "clean"), \(data)"
  }

  /// Returns all runs' documents. Their names include run and file if they would otherwise be equal.
  private func measured<Contents>(
    _ path: KeyPath<RunRecord, [RunRecord.Document<Contents>]>, at images: (Contents) -> String
  ) -> [Measured<Contents>] {
    let differ = Set(runs.flatMap { $0[keyPath: path].map { images($0.contents) } }).count > 1
    return runs.enumerated().flatMap { index, run in
      run[keyPath: path].enumerated().map { role, document in
        let name = areSeveral ? (run[keyPath: path].count > 1 ? "\(run.name): \(document.name)" : run.name) : document.name
        let place = images(document.contents)
        // A reader must see that the documents were measured at different images.
        return Measured(
          run: index, role: role, name: differ ? "\(name), \(place)" : name, images: place, contents: document.contents)
      }
    }
  }

  /// Returns a chart of all documents that give a series; nil if none does.
  private func chart<Contents>(
    _ id: String, _ title: String, _ documents: [Measured<Contents>], _ form: Chart.Form, x: Chart.Axis, y: Chart.Axis,
    z: Chart.Axis? = nil, _ series: (Measured<Contents>) -> [Chart.Series]
  ) -> Chart? {
    let all = documents.flatMap(series)
    let places = Set(documents.map(\.images))
    let note = places.count == 1 ? "Measured at: \(places.first!)." : "Measured at different images; see the names."
    return all.isEmpty ? nil : Chart(id: id, title: title, note: note, form: form, x: x, y: y, z: z, series: all)
  }

  /// The eigenvalues, the density, and Fig. 7 with one small chart per score, because the scales differ.
  private func hessianCharts(_ documents: [Measured<HessianDocument>], scores: [String]) -> [Chart?] {
    [
      chart(
        "eigenvalues", "Leading eigenvalues", documents, .bars, x: Chart.Axis("rank", .count), y: Chart.Axis("eigenvalue")
      ) { document in
        guard let values = document.contents.eigenvalues, !values.isEmpty else { return [] }
        return [
          document.series(
            values.indices.map { Double($0 + 1) }, values.map(\.value), low: values.map { $0.value - abs($0.value) * $0.residual },
            high: values.map { $0.value + abs($0.value) * $0.residual })
        ]
      },
      chart(
        "density", "Spectral density", documents, .lines, x: Chart.Axis("eigenvalue"),
        y: Chart.Axis("density", .logarithmic)
      ) { document in document.contents.density.map { [document.series($0.grid, $0.values)] } ?? [] },
      chart(
        "scores", "Scores against the exact eigenvalue", documents, .points, x: Chart.Axis("exact magnitude"),
        y: Chart.Axis("score", column: "estimate")
      ) { document in
        scores.compactMap { score in
          guard let own = document.contents.perSample, let values = own.approximations?[score] else { return nil }
          return document.series(own.eigenvalues.map(abs), values, panel: score)
        }
      },
    ]
  }

  /// Fig. 1 along one direction or two.
  private func landscapeCharts(_ documents: [Measured<LandscapeDocument>]) -> [Chart?] {
    let curves = documents.filter { $0.contents.y == nil }
    let line = chart("landscape-line", "Loss along a direction", curves, .lines, x: Chart.Axis("distance"), y: Chart.Axis("loss")) {
      [$0.series($0.contents.x, $0.contents.loss.first ?? [])]
    }
    let surfaces = documents.filter { $0.contents.y != nil }
    let (first, second, loss) = (Chart.Axis("first direction"), Chart.Axis("second direction"), Chart.Axis("loss"))
    return [line]
      + surfaces.enumerated().flatMap { i, document in
        let (suffix, name) = surfaces.count > 1 ? ("-\(i + 1)", ": \(document.name)") : ("", "")
        return [(Chart.Form.surface, "surface"), (.heatmap, "map")].map { form, word in
          chart("landscape-\(word)\(suffix)", "Loss \(word)\(name)", [document], form, x: first, y: second, z: loss) {
            [$0.series($0.contents.x, $0.contents.y!, z: $0.contents.loss)]
          }
        }
      }
  }
}
