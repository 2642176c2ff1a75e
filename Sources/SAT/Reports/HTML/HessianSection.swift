/// A document with numbers that were measured at images.
private protocol ImageMeasurement {
  /// The images in words, such as "adversarial (linf, radius 0.1), 128 train images of digits".
  var images: String { get }
}

extension HessianDocument: ImageMeasurement { fileprivate var images: String { ReportRuns.images(data, perturbation, "") } }

extension LandscapeDocument: ImageMeasurement {
  fileprivate var images: String {
    ReportRuns.images(data, perturbation, examples == "reattack" ? ", attacked at every point" : "")
  }
}

/// Charts of the documents of `sat hessian` and `sat landscape`.
extension ReportRuns {
  /// The eigenvalues, the density and Fig. 7.
  var hessianSection: ReportSection {
    var section = ReportSection(id: "hessian", title: "Hessian")
    let documents = documents(\.hessians)
    var rows = [["document", "measured at", "loss", "gradient norm", "trace", "parameters", "samples"]]
    for (_, name, hessian) in documents {
      let trace = hessian.trace.map { "\(Self.brief($0.mean)) ± \(Self.brief($0.standardError))" }
      rows.append([
        name, hessian.images, Self.brief(hessian.loss), Self.brief(hessian.gradientNorm), trace ?? "", "\(hessian.parameters)",
        "\(hessian.samples)",
      ])
    }
    if documents.isEmpty { return section }
    section.tables = [.init(caption: "The loss that the Hessian is taken of, and the trace with its standard error", rows: rows)]
    section.charts = [eigenvalueChart(documents), densityChart(documents)].compactMap { $0 }
    section.charts += approximationCharts(documents)
    return section
  }

  fileprivate static func images(
    _ data: ImageDataset.Summary, _ perturbation: InnerMaximizer.Summary?, _ attack: String
  ) -> String {
    let place = perturbation.map { "adversarial (\($0.norm.rawValue), radius \(brief($0.epsilon))\(attack))" }
    return "\(place ?? "clean"), \(data)"
  }

  private typealias Documents<Contents> = [(run: Int, name: String, contents: Contents)]

  /// Returns all runs' documents. Their names include run and file if they would otherwise be equal.
  private func documents<Contents: ImageMeasurement>(
    _ path: KeyPath<RunRecord, [RunRecord.Document<Contents>]>
  ) -> Documents<Contents> {
    let differ = Set(runs.flatMap { $0[keyPath: path].map(\.contents.images) }).count > 1
    return runs.enumerated().flatMap { index, run in
      run[keyPath: path].map { document in
        let name = areSeveral ? (run[keyPath: path].count > 1 ? "\(run.name): \(document.name)" : run.name) : document.name
        // A reader must see that the documents were measured at different images.
        return (index, differ ? "\(name), \(document.contents.images)" : name, document.contents)
      }
    }
  }

  /// Returns the end of a note with the images of the measurement. If the images differ, the names state them.
  private static func place(_ documents: Documents<some ImageMeasurement>) -> String {
    let places = Set(documents.map(\.contents.images))
    return places.count == 1 ? " Measured at: \(places.first!)." : " Measured at different images; see the names."
  }

  private func eigenvalueChart(_ documents: Documents<HessianDocument>) -> Chart? {
    let series = documents.enumerated().compactMap { role, document -> Chart.Series? in
      guard let values = document.contents.eigenvalues, !values.isEmpty else { return nil }
      return Chart.Series(
        name: document.name, run: document.run, role: areSeveral ? 0 : role, x: .numbers(values.indices.map { Double($0 + 1) }),
        y: values.map(\.value), low: values.map { $0.value - abs($0.value) * $0.residual },
        high: values.map { $0.value + abs($0.value) * $0.residual })
    }
    guard !series.isEmpty else { return nil }
    return Chart(
      id: "eigenvalues", title: "Leading eigenvalues",
      note: "Eigenvalues of the mean loss's Hessian; the whiskers are ‖Hv − λv‖." + Self.place(documents), form: .bars,
      x: Chart.Axis("rank", isCount: true), y: Chart.Axis("eigenvalue"), series: series)
  }

  private func densityChart(_ documents: Documents<HessianDocument>) -> Chart? {
    let series = documents.enumerated().compactMap { role, document in
      document.contents.density.map { density in
        Chart.Series(
          name: document.name, run: document.run, role: areSeveral ? 0 : role, x: .numbers(density.grid), y: density.values)
      }
    }
    guard !series.isEmpty else { return nil }
    return Chart(
      id: "density", title: "Spectral density",
      note: "Density of all eigenvalues, by stochastic Lanczos quadrature." + Self.place(documents), form: .lines,
      x: Chart.Axis("eigenvalue"), y: Chart.Axis("density", isLogarithmic: true), series: series)
  }

  /// Makes the charts of Fig. 7: one per approximation, because the scales differ.
  private func approximationCharts(_ documents: Documents<HessianDocument>) -> [Chart] {
    let keys = Set(documents.flatMap { $0.contents.perSample?.approximations?.keys.map(\.self) ?? [] }).sorted()
    return keys.map { key in
      var series: [Chart.Series] = []
      var correlations: [String] = []
      for document in documents {
        guard let perSample = document.contents.perSample, let values = perSample.approximations?[key] else { continue }
        // Documents of one run share a colour and have different symbols.
        let role = series.count { $0.run == document.run }
        let norms = perSample.eigenvalues.map(abs)
        series.append(Chart.Series(name: document.name, run: document.run, role: role, x: .numbers(norms), y: values))
        let correlation = perSample.spearman?[key].flatMap { $0 }.flatMap { $0.isNaN ? nil : decimal($0, 4) } ?? "not defined"
        correlations.append(correlation + (documents.count > 1 ? " (\(document.name))" : ""))
      }
      return Chart(
        id: "approximation-\(Self.slug(key))", title: "\(key) against exact",
        note: "The magnitude of the dominant eigenvalue of each sample's own Hessian, exact and estimated by the score "
          + "`\(key)` (Fig. 7). Spearman's rank correlation is \(correlations.joined(separator: ", "))." + Self.place(documents),
        form: .points, x: Chart.Axis("exact magnitude"), y: Chart.Axis(key, column: key), series: series, hasDiagonal: true)
    }
  }

  /// Fig. 1: the loss around the weights.
  var landscapeSection: ReportSection {
    var section = ReportSection(id: "landscape", title: "Loss landscape")
    let note = "The loss around the trained weights (at 0) along random directions with filter normalisation (the paper's Fig. 1)."
    let documents = documents(\.landscapes)
    let curves = documents.filter { $0.contents.y == nil }
    let lines = curves.enumerated().map { role, document in
      Chart.Series(
        name: document.name, run: document.run, role: areSeveral ? 0 : role, x: .numbers(document.contents.x),
        y: document.contents.loss.first ?? [])
    }
    if !lines.isEmpty {
      section.charts.append(
        Chart(
          id: "landscape-line", title: "Loss along a direction", note: note + Self.place(curves), form: .lines,
          x: Chart.Axis("distance"), y: Chart.Axis("loss"), series: lines))
    }
    let surfaces = documents.filter { $0.contents.y != nil }
    for (i, document) in surfaces.enumerated() {
      let series = Chart.Series(
        name: document.name, run: document.run, x: .numbers(document.contents.x), y: document.contents.y!, z: document.contents.loss
      )
      for (form, word) in [(Chart.Form.surface, "surface"), (.heatmap, "map")] {
        section.charts.append(
          Chart(
            id: "landscape-\(word)" + (surfaces.count > 1 ? "-\(i + 1)" : ""),
            title: "Loss \(word)" + (surfaces.count > 1 ? ": \(document.name)" : ""),
            note: note + Self.place([document]), form: form, x: Chart.Axis("first direction"), y: Chart.Axis("second direction"),
            z: Chart.Axis("loss"), series: [series]))
      }
    }
    return section
  }

  /// Four significant digits, without zeros at the end.
  static func brief(_ value: Double) -> String {
    guard value.isFinite, value != 0 else { return value == 0 ? "0" : "\(value)" }
    var (places, size) = (3, abs(value))
    while size >= 10 && places > 0 { (places, size) = (places - 1, size / 10) }
    while size < 1 && places < 9 { (places, size) = (places + 1, size * 10) }
    guard size >= 1 else { return "\(value)" }
    var text = decimal(value, places)
    while places > 0 && (text.hasSuffix("0") || text.hasSuffix(".")) {
      let wasPoint = text.removeLast() == "."
      if wasPoint { break }
    }
    return text
  }
}
