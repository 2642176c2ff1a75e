internal import SwiftTorch

/// The JSON document of `sat hessian`, `sat-hessian/1`.
public struct HessianReport: Encodable, Sendable {
  public struct Data: Encodable, Sendable {
    public var name: String
    public var split: String
    public var samples: Int
  }

  /// How the images were perturbed.
  public struct Perturbation: Codable, Sendable, Equatable {
    public var norm: String
    public var epsilon: Double
    public var steps: Int
    public var stepSize: Double

    public init(_ maximizer: InnerMaximizer) {
      (norm, epsilon) = (maximizer.threat.norm.rawValue, maximizer.threat.epsilon)
      (steps, stepSize) = (maximizer.steps, maximizer.stepSize)
    }
  }

  public struct Eigenvalue: Encodable, Sendable {
    public var value: Double
    /// ‖Hv − λv‖ / |λ|.
    public var residual: Double
    public var iterations: Int
    public var converged: Bool
  }

  public struct Trace: Encodable, Sendable {
    public var mean: Double
    public var standardError: Double
    public var probes: Int
  }

  public struct Density: Encodable, Sendable {
    public var grid: [Double]
    public var values: [Double]
    public var width: Double
  }

  public struct PerSample: Codable, Sendable {
    public var eigenvalues: [Double]
    public var residuals: [Double]
    /// Whether each residual met the tolerance before the iterations ran out.
    public var converged: [Bool]
    public var approximations: [String: [Double]]?
    /// Null where a series is constant.
    public var spearman: [String: Double?]?
  }

  public var format = "sat-hessian/1"
  public var model: String
  public var data: Data
  /// "clean" or "adversarial".
  public var at: String
  public var perturbation: Perturbation?
  public var dtype: String
  public var seed: UInt64
  public var loss: Double
  public var gradientNorm: Double
  public var parameters: Int
  public var samples: Int
  public var eigenvalues: [Eigenvalue]?
  public var trace: Trace?
  public var density: Density?
  public var perSample: PerSample?
  public var products: Int
  public var seconds: Double
  public var versions: [String: String]

  /// - Parameter perturbation: nil at clean images.
  public init(_ analysis: HessianAnalysis, model: String, data: ImageDataset, perturbation: InnerMaximizer?, seed: UInt64) {
    self.model = model
    self.data = Data(name: data.name, split: data.split, samples: data.count)
    at = perturbation == nil ? "clean" : "adversarial"
    self.perturbation = perturbation.map(Perturbation.init)
    self.seed = seed
    dtype = analysis.dtype.description
    (loss, gradientNorm) = (analysis.loss, analysis.gradientNorm)
    (parameters, samples) = (analysis.parameters, analysis.samples)
    eigenvalues = analysis.eigenvalues?.map {
      Eigenvalue(value: $0.value, residual: $0.residual, iterations: $0.iterations, converged: $0.isConverged)
    }
    trace = analysis.trace.map { Trace(mean: $0.mean, standardError: $0.standardError, probes: $0.probes) }
    density = analysis.density.map { Density(grid: $0.grid, values: $0.values, width: $0.width) }
    perSample = PerSample(analysis)
    (products, seconds) = (analysis.products, analysis.seconds)
    versions = ["sat": SATVersion.current, "libtorch": Torch.version]
  }
}

extension HessianReport.PerSample {
  /// Nil where it was not asked for.
  init?(_ analysis: HessianAnalysis) {
    guard let spectrum = analysis.perSample else { return nil }
    self.init(
      eigenvalues: spectrum.eigenvalues, residuals: spectrum.residuals, converged: spectrum.isConverged,
      approximations: analysis.approximations?.mapValues(\.values),
      spearman: analysis.approximations?.mapValues { $0.spearman.isNaN ? nil : $0.spearman })
  }
}

extension HessianJob.Result {
  public var document: HessianReport {
    HessianReport(analysis, model: job.model.name, data: job.data, perturbation: job.perturbation?.maximizer, seed: job.request.seed)
  }
}

/// The text `sat hessian` prints for a person.
public struct HessianTable: CustomStringConvertible {
  private let report: HessianReport
  private let warnings: [String]

  /// - Parameter asked: how many eigenvalues of the mean loss's Hessian were asked for.
  public init(_ report: HessianReport, asked: Int) {
    self.report = report
    var warnings: [String] = []
    let found = report.eigenvalues?.count ?? 0
    if found < asked {
      let reason =
        found == report.parameters ? "the model has no more parameters" : "Lanczos finds at most as many as --iterations allows it products"
      warnings.append("\(found) of the \(asked) eigenvalues that were asked for; \(reason)")
    }
    let open = report.eigenvalues?.count { !$0.converged } ?? 0
    if open > 0 { warnings.append("\(open) of the eigenvalues did not converge; their residuals say how near an eigenvalue is") }
    if let samples = report.perSample?.converged, samples.contains(false) {
      warnings.append(
        "\(samples.count { !$0 }) of the \(samples.count) per-sample eigenvalues did not converge; raise --iterations or --tolerance")
    }
    self.warnings = warnings
  }

  public var description: String {
    let at = report.perturbation.map { "; at \($0.norm) epsilon \(significant($0.epsilon)) adversarial images" } ?? ""
    var text =
      "\(report.model) on \(report.samples) \(report.data.split == "file" ? "" : report.data.split + " ")images of "
      + "\(report.data.name)\(at); \(report.parameters) parameters, \(report.dtype)\n\n"
    var rows = [["", "value", ""]]
    rows.append(["loss", significant(report.loss), ""])
    rows.append(["gradient norm", significant(report.gradientNorm), ""])
    if let trace = report.trace {
      rows.append(["trace", significant(trace.mean), "± \(significant(trace.standardError)) (\(trace.probes) probes)"])
    }
    for (index, pair) in (report.eigenvalues ?? []).enumerated() {
      rows.append([
        "eigenvalue \(index + 1)", significant(pair.value),
        "residual \(significant(pair.residual)), \(pair.iterations) products\(pair.converged ? "" : ", not converged")",
      ])
    }
    text += TextTable(rows).description
    if let density = report.density { text += "\n" + Self.summary(density) }
    if let perSample = report.perSample { text += "\n" + Self.summary(perSample) }
    return text + warnings.map { "\n\($0)\n" }.joined()
  }

  private static func summary(_ density: HessianReport.Density) -> String {
    let spacing = density.grid[1] - density.grid[0]
    // Two widths away from 0, around which most eigenvalues lie.
    let below = zip(density.grid, density.values).reduce(0) { $0 + ($1.0 < -2 * density.width ? $1.1 * spacing : 0) }
    return "density of the eigenvalues from \(significant(density.grid.first!)) to \(significant(density.grid.last!)), width "
      + "\(significant(density.width)); \(decimal(100 * min(below, 1), 1)) % of it well below 0 (--json has the curve)\n"
  }

  private static func summary(_ perSample: HessianReport.PerSample) -> String {
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
