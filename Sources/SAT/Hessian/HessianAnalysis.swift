public import SwiftTorch

/// The measurements of a loss's Hessian at some images.
public struct HessianAnalysis {
  /// The measurements to make, with their settings.
  public struct Request: Sendable {
    /// The algorithm for the extreme eigenvalues.
    public enum Solver: Sendable {
      case lanczos(Lanczos, end: Lanczos.End)
      case power(PowerMethod)
    }

    /// The number of extreme eigenvalues; 0 for none.
    public var top = 1
    public var solver = Solver.lanczos(Lanczos(), end: .magnitude)
    /// The number of random vectors for the trace; nil for no trace.
    public var traceProbes: Int?
    /// The settings of the spectral density; nil for no density.
    public var density: Density?
    /// The settings of the per-sample spectrum; nil for none.
    public var perSample: PerSampleSpectrum.Settings?
    /// True to compute the estimates of the per-sample eigenvalues too.
    public var approximations = false
    /// The number of images per pass through the network; nil for `LossHessian`'s choice.
    public var chunk: Int?
    public var seed: UInt64 = 0

    /// The settings of the spectral density.
    public struct Density: Sendable {
      public var probes = 4
      public var steps = 60
      /// The Gaussian's standard deviation; nil for a hundredth of the range.
      public var width: Double?

      public init() {}
    }

    public init() {}
  }

  /// An estimate of the per-sample eigenvalues.
  public struct Approximation: Sendable {
    /// The estimates, one per sample.
    public var values: [Double]
    /// Spearman's correlation with the magnitudes of the exact eigenvalues.
    public var spearman: Double
  }

  public var loss: Double
  public var gradientNorm: Double
  public var parameters: Int
  public var samples: Int
  public var dtype: DType
  public var eigenvalues: [EigenPair]?
  public var trace: HutchinsonTrace?
  public var density: SpectralDensity?
  public var perSample: PerSampleSpectrum?
  /// The estimates by name: `CurvatureScore`'s names, with chunks of 32 samples, and "gauss-newton"; none for TorchScript.
  public var approximations: [String: Approximation]?
  /// The number of products with the Hessian of the mean loss.
  public var products: Int
  public var seconds: Double
}

extension HessianAnalysis {
  /// Makes the measurements of a request, for a classifier in evaluation mode and full precision.
  ///
  /// Images [N, C, H, W] have the parameters' dtype and device; labels [N] are int64.
  /// - Throws: the model's errors, and `TorchError` when the loss, its gradient or its curvature is not finite.
  public static func measure(
    _ classifier: any Classifier, images: Tensor, labels: Tensor, _ request: Request,
    progress: (_ part: String, _ fraction: Double) -> Void = { _, _ in }
  ) throws(TorchError) -> HessianAnalysis {
    let start = ContinuousClock.now
    let hessian = try LossHessian(classifier, images: images, labels: labels, chunk: request.chunk) { progress("gradient", $0) }
    var analysis = HessianAnalysis(
      loss: hessian.loss, gradientNorm: hessian.gradientNorm, parameters: hessian.size, samples: labels.count,
      dtype: hessian.dtype, products: 0, seconds: 0)
    try analysis.measureMeanLoss(hessian, request, progress)
    if let settings = request.perSample {
      let spectrum = try PerSampleSpectrum.topEigenvalues(classifier, images: images, labels: labels, settings: settings) {
        progress("per-sample eigenvalues", Double($0) / Double(labels.count))
      }
      analysis.perSample = spectrum
      if request.approximations {
        analysis.approximations = try approximate(classifier, images, labels, spectrum.eigenvalues.map(abs), progress)
      }
    }
    try analysis.checkFinite()
    analysis.products = hessian.products
    analysis.seconds = (.now - start) / .seconds(1)
    return analysis
  }

  /// Measures eigenvalues, trace and density of the mean loss's Hessian.
  private mutating func measureMeanLoss(
    _ hessian: LossHessian, _ request: Request, _ progress: (String, Double) -> Void
  ) throws(TorchError) {
    // Each part has its own stream, so further parts do not change the other numbers.
    func stream(_ number: UInt64) -> Generator { Generator(seed: request.seed, stream: number) }
    if request.top > 0 { eigenvalues = try Self.eigenvalues(of: hessian, request, stream(0)) { progress("eigenvalues", $0) } }
    if let probes = request.traceProbes {
      trace = try HutchinsonTrace.estimate(of: hessian, probes: probes, generator: stream(1)) { progress("trace", $0) }
    }
    if let settings = request.density {
      density = try SpectralDensity.estimate(
        of: hessian, probes: settings.probes, steps: settings.steps, width: settings.width, generator: stream(2)
      ) { progress("density", $0) }
    }
  }

  private static func eigenvalues(
    of hessian: LossHessian, _ request: Request, _ generator: Generator, progress: (Double) -> Void
  ) throws(TorchError) -> [EigenPair] {
    switch request.solver {
    case .lanczos(let lanczos, let end):
      try lanczos.eigenvalues(of: hessian, count: request.top, end: end, generator: generator) { step, _ in
        progress(Double(step) / Double(lanczos.maximumSteps))
      }
    case .power(let method):
      try method.eigenvalues(of: hessian, count: request.top, generator: generator) { index, iteration, _ in
        progress((Double(index) + Double(iteration) / Double(method.maximumIterations)) / Double(request.top))
      }
    }
  }

  private func checkFinite() throws(TorchError) {
    let numbers = [gradientNorm] + (eigenvalues ?? []).map(\.value) + [trace?.mean ?? 0] + (perSample?.eigenvalues ?? [])
    guard numbers.allSatisfy(\.isFinite) else {
      throw TorchError(
        .value, "the loss is \(loss), but its first or second derivatives are not finite; check the weights for very large values")
    }
  }

  private static func approximate(
    _ classifier: any Classifier, _ images: Tensor, _ labels: Tensor, _ exact: [Double], _ progress: (String, Double) -> Void
  ) throws(TorchError) -> [String: Approximation] {
    var found: [String: Approximation] = [:]
    func add(_ name: String, _ values: [Double]) {
      found[name] = Approximation(values: values, spearman: Spearman.correlation(values, exact))
    }
    if let network = classifier as? NetworkClassifier {
      // `power` is the exact value, so it is no estimate.
      let scores = CurvatureScore.allCases.filter { $0 != .power }
      for (index, score) in scores.enumerated() {
        progress("approximations", Double(index) / Double(scores.count))
        add(score.rawValue, try score.scores(network, images, labels).to(.float64).array(of: Double.self))
      }
    }
    let gaussNewton = try GaussNewton.topEigenvalues(classifier, images: images, labels: labels) {
      progress("gauss-newton", Double($0) / Double(labels.count))
    }
    if let gaussNewton { add("gauss-newton", gaussNewton) }
    return found
  }
}
