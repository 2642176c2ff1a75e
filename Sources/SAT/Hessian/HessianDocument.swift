internal import SwiftTorch

/// The JSON document of `sat hessian`, `sat-hessian/1`.
public struct HessianDocument: MeasurementDocument {
  public static let format = "sat-hessian/1"
  public static var remedy: String { "make it again with `sat hessian`" }

  /// An eigenvalue, with the residual and the number of products that found it.
  public struct Eigenvalue: Codable, Sendable, Equatable {
    public var value: Double
    /// ‖Hv − λv‖ / |λ|.
    public var residual: Double
    public var iterations: Int
    public var converged: Bool
  }

  /// The estimate of the trace.
  public typealias Trace = HutchinsonTrace

  /// The estimate of the spectral density.
  public typealias Density = SpectralDensity

  /// The dominant eigenvalue of every sample's own Hessian.
  public struct PerSample: Codable, Sendable, Equatable {
    public var eigenvalues: [Double]
    public var residuals: [Double]
    /// True if the residual met the tolerance before the iterations ran out; absent in early documents.
    public var converged: [Bool]?
    public var approximations: [String: [Double]]?
    /// Spearman's correlations with the eigenvalues' magnitudes; null for a constant series.
    public var spearman: [String: Double?]?
  }

  public private(set) var format: String = Self.format
  public var model: String
  public var data: ImageDataset.Summary
  /// "clean" or "adversarial".
  public var at: String
  public var perturbation: InnerMaximizer.Summary?
  public var dtype: String
  /// The device of the model, such as "cpu" or "cuda:0"; absent in early documents.
  public var device: String?
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

  /// A perturbation of nil means clean images.
  public init(
    _ analysis: HessianAnalysis, model: String, data: ImageDataset, perturbation: InnerMaximizer?, seed: UInt64,
    device: String = "cpu"
  ) {
    self.device = device
    self.model = model
    self.data = data.summary
    self.perturbation = perturbation?.summary
    self.seed = seed
    at = perturbation == nil ? "clean" : "adversarial"
    dtype = analysis.dtype.description
    loss = analysis.loss
    gradientNorm = analysis.gradientNorm
    parameters = analysis.parameters
    samples = analysis.samples
    eigenvalues = analysis.eigenvalues?.map {
      Eigenvalue(value: $0.value, residual: $0.residual, iterations: $0.iterations, converged: $0.isConverged)
    }
    trace = analysis.trace
    density = analysis.density
    perSample = PerSample(analysis)
    products = analysis.products
    seconds = analysis.seconds
    versions = ["sat": SATVersion.current, "libtorch": Torch.version]
  }

  /// The precision of autocast, which second derivatives never use; `dtype` is the type of the numbers.
  var precision: Execution.Precision? { .fp32 }

  public var inconsistency: String? { density?.inconsistency ?? perSample?.inconsistency(samples: samples) }
}

extension SpectralDensity {
  fileprivate var inconsistency: String? {
    guard grid.count == values.count else { return "density has \(values.count) values at \(grid.count) positions" }
    return grid.allSatisfy(\.isFinite) && !grid.isEmpty
      ? nil : "density.grid is empty or has a position that is not a finite number"
  }
}

extension HessianDocument.PerSample {
  /// Creates the part for a per-sample spectrum; nil if the analysis has none.
  init?(_ analysis: HessianAnalysis) {
    guard let spectrum = analysis.perSample else { return nil }
    self.init(
      eigenvalues: spectrum.eigenvalues, residuals: spectrum.residuals, converged: spectrum.isConverged,
      approximations: analysis.approximations?.mapValues(\.values),
      spearman: analysis.approximations?.mapValues { $0.spearman.isNaN ? nil : $0.spearman })
  }

  fileprivate func inconsistency(samples: Int) -> String? {
    let count = eigenvalues.count
    guard samples == count else { return "perSample has \(count) eigenvalues of \(samples) samples" }
    let lists = [("residuals", residuals.count), ("converged", converged?.count ?? count)]
    let scores = (approximations ?? [:]).sorted { $0.key < $1.key }.map { ("approximations.\($0.key)", $0.value.count) }
    return (lists + scores).first { $0.1 != count }.map { "perSample.\($0.0) has \($0.1) values for \(count) eigenvalues" }
  }
}

extension HessianJob.Result {
  public var document: HessianDocument {
    HessianDocument(
      analysis, model: job.model.name, data: job.data, perturbation: job.perturbation?.maximizer, seed: job.request.seed,
      device: "\(job.model.device)")
  }
}
