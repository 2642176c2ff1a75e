/// The text `sat hessian` prints for a person.
public struct HessianTable: CustomStringConvertible {
  private let document: HessianDocument
  private let asked: Int

  /// Makes the text of a document for which `asked` eigenvalues of the mean loss's Hessian were requested.
  public init(_ document: HessianDocument, asked: Int) {
    self.document = document
    self.asked = asked
  }

  public var description: String {
    let at = document.perturbation.map { "; at \($0.norm.rawValue) epsilon \(significant($0.epsilon)) adversarial images" } ?? ""
    var text = "\(document.model) on \(document.data)\(at); \(document.parameters) parameters, \(document.dtype)\n\n"
    var rows = [
      ["", "value", ""], ["loss", significant(document.loss), ""], ["gradient norm", significant(document.gradientNorm), ""],
    ]
    if let trace = document.trace {
      rows.append(["trace", significant(trace.mean), "± \(significant(trace.standardError)) (\(trace.probes) probes)"])
    }
    for (index, pair) in (document.eigenvalues ?? []).enumerated() {
      let products = "\(pair.iterations) products\(pair.converged ? "" : ", not converged")"
      rows.append(["eigenvalue \(index + 1)", significant(pair.value), "residual \(significant(pair.residual)), \(products)"])
    }
    text += TextTable(rows).description
    if let density = document.density { text += "\n" + Self.summary(density) }
    if let perSample = document.perSample { text += "\n" + Self.summary(perSample) }
    return text + warnings.map { "\n\($0)\n" }.joined()
  }

  private var warnings: [String] {
    var warnings: [String] = []
    let found = document.eigenvalues?.count ?? 0
    if found < asked {
      let reason =
        found == document.parameters
        ? "the model has no more parameters" : "Lanczos finds at most as many as --iterations allows it products"
      warnings.append("\(found) of the \(asked) eigenvalues that were asked for; \(reason)")
    }
    let open = document.eigenvalues?.count { !$0.converged } ?? 0
    if open > 0 { warnings.append("\(open) of the eigenvalues did not converge; their residuals say how near an eigenvalue is") }
    if let samples = document.perSample?.converged, samples.contains(false) {
      warnings.append(
        "\(samples.count { !$0 }) of the \(samples.count) per-sample eigenvalues did not converge; raise --iterations or "
          + "--tolerance")
    }
    return warnings
  }

  private static func summary(_ density: HessianDocument.Density) -> String {
    let spacing = density.grid[1] - density.grid[0]
    // Most eigenvalues lie around 0, so the sum starts two widths below it.
    let below = zip(density.grid, density.values).reduce(0) { $0 + ($1.0 < -2 * density.width ? $1.1 * spacing : 0) }
    return "density of the eigenvalues from \(significant(density.grid.first!)) to \(significant(density.grid.last!)), width "
      + "\(significant(density.width)); \(percent(min(below, 1), 1)) of it well below 0 (--json has the curve)\n"
  }

  private static func summary(_ perSample: HessianDocument.PerSample) -> String {
    let sizes = perSample.eigenvalues.map(abs).sorted()
    let negative = perSample.eigenvalues.count { $0 < 0 }
    var text =
      "per-sample spectral norms: smallest \(significant(sizes.first!)), median \(significant(sizes[sizes.count / 2])), largest "
      + "\(significant(sizes.last!)); the dominant eigenvalue is negative for \(negative) of \(sizes.count)\n"
    if let spearman = perSample.spearman {
      let rows = spearman.sorted { $0.key < $1.key }.map { [$0.key, $0.value.map { decimal($0, 4) } ?? "undefined"] }
      text += "\n" + TextTable([["approximation", "Spearman with the norm"]] + rows).description
    }
    return text
  }
}

/// The text `sat landscape` prints for a person.
public struct LandscapeTable: CustomStringConvertible {
  private let document: LandscapeDocument

  public init(_ document: LandscapeDocument) { self.document = document }

  public var description: String {
    let all = document.loss.flatMap { $0 }
    let at = document.perturbation.map { ", \($0.norm.rawValue) epsilon \(significant($0.epsilon))" } ?? ""
    let rows = [
      ["", "loss"], ["nearest to the model", significant(center)], ["smallest", significant(all.min()!)],
      ["largest", significant(all.max()!)],
    ]
    return "\(document.model) on \(document.data); \(document.examples) examples\(at); \(all.count) points\n\n"
      + TextTable(rows).description
  }

  /// The loss at the point nearest to the weights.
  private var center: Double {
    let row = zip(document.loss, document.y ?? [0]).min { abs($0.1) < abs($1.1) }?.0 ?? []
    return zip(row, document.x).min { abs($0.1) < abs($1.1) }?.0 ?? .nan
  }
}

/// The text `sat bench` prints for a person.
public struct SpeedTable: CustomStringConvertible {
  private let benchmark: SpeedBenchmark

  public init(_ benchmark: SpeedBenchmark) { self.benchmark = benchmark }

  public var description: String {
    let titles = [
      "forward": "forward", "gradient": "gradient of the images", "update": "update of the weights",
      "at": "AT with \(benchmark.attackSteps) steps",
    ]
    let rows = benchmark.parts.map { part in
      [titles[part.name] ?? part.name, decimal(1000 * part.seconds, 2), decimal(part.samplesPerSecond, 0), "\(part.repetitions)"]
    }
    let shape = benchmark.inputShape.map(String.init).joined(separator: "x")
    return "\(benchmark.model), \(benchmark.parameters) parameters, \(benchmark.batchSize) images of \(shape) a batch; "
      + "\(benchmark.device), \(benchmark.threads) threads, \(benchmark.precision.rawValue)\n"
      + TextTable([["", "ms a batch", "images a second", "repetitions"]] + rows).description
  }
}
