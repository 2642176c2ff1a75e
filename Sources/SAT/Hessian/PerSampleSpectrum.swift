public import SwiftTorch

/// σ₁ of every sample: the eigenvalue of largest magnitude of each sample's own ∇²_θ ℓ (paper, Section 4.2 and Fig. 7).
public struct PerSampleSpectrum {
  /// [N]: the eigenvalue of largest magnitude with its sign; its magnitude is the spectral norm ‖∇²_θ ℓ‖₍₂₎.
  public var eigenvalues: [Double]
  /// ‖Hv − λv‖ / |λ| per sample: an eigenvalue lies that near.
  public var residuals: [Double]
  /// Products with the sample's Hessian that it took.
  public var iterations: [Int]
  /// Whether the residual met the tolerance before the iterations ran out.
  public var isConverged: [Bool]

  public struct Settings: Sendable {
    /// Largest ‖Hv − λv‖ / |λ|; the error of λ itself is of the order of its square.
    public var tolerance = 1e-2
    /// Products at most, per sample.
    public var maximumIterations = 60
    /// Samples that pass through the network together; nil for as many as fit into 512 MiB.
    public var chunk: Int?
    /// Of the random part of the starts.
    public var seed: UInt64 = 0

    public init() {}
  }

  /// The exact eigenvalues by Lanczos, for a whole batch at once where the network's parameters are all in convolutions, linear layers
  /// and BatchNorm, and one sample after another elsewhere.
  ///
  /// Unlike the power method, Lanczos tells a dominant pair λ, −λ apart, which the Hessian of a misclassified sample comes close to.
  /// - Parameters:
  ///   - classifier: in evaluation mode, in full precision.
  ///   - images: [N, C, H, W] of the parameters' dtype, on their device.
  ///   - labels: [N], int64.
  ///   - progress: hears of the samples that are done.
  public static func topEigenvalues(
    _ classifier: any Classifier, images: Tensor, labels: Tensor, settings: Settings = Settings(),
    progress: (_ done: Int) -> Void = { _ in }
  ) throws(TorchError) -> PerSampleSpectrum {
    var result = PerSampleSpectrum(eigenvalues: [], residuals: [], iterations: [], isConverged: [])
    let chunk = try chunkSize(classifier, images, labels, settings)
    // The first samples show it for all.
    var isCurved: Bool?
    // A network that cannot be worked through in batches is so for one sample as well.
    for range in (0..<labels.count).chunks(of: chunk ?? 1) {
      let part: PerSampleSpectrum
      if chunk != nil, let network = classifier as? NetworkClassifier {
        var lanczos = BatchedLanczos(network, images[range], labels[range], settings, isCurved: isCurved)
        part = try lanczos.run()
        isCurved = lanczos.isCurved
      } else {
        part = try single(classifier, images[range], labels[range], settings)
      }
      result.append(part)
      progress(range.upperBound)
    }
    return result
  }

  private mutating func append(_ other: PerSampleSpectrum) {
    eigenvalues += other.eigenvalues
    residuals += other.residuals
    iterations += other.iterations
    isConverged += other.isConverged
  }

  private static func single(
    _ classifier: any Classifier, _ image: Tensor, _ label: Tensor, _ settings: Settings
  ) throws(TorchError) -> PerSampleSpectrum {
    let hessian = try LossHessian(classifier, images: image, labels: label)
    let lanczos = Lanczos(tolerance: settings.tolerance, maximumSteps: settings.maximumIterations)
    let pair = try lanczos.eigenvalues(of: hessian, generator: Generator(seed: settings.seed))[0]
    return PerSampleSpectrum(
      eigenvalues: [pair.value], residuals: [pair.residual], iterations: [pair.iterations], isConverged: [pair.isConverged])
  }

  /// How many samples to take at once; nil when the network has to be taken sample by sample.
  private static func chunkSize(
    _ classifier: any Classifier, _ images: Tensor, _ labels: Tensor, _ settings: Settings
  ) throws(TorchError) -> Int? {
    guard let network = classifier as? NetworkClassifier else { return nil }
    guard let linearized = try LinearizedNetwork(network, images[0..<1], labels[0..<1]), let layers = BatchedLanczos.layers(linearized),
      try linearized.accountsForAllGradients(of: network.module.parameters)
    else { return nil }
    if let chunk = settings.chunk { return max(chunk, 1) }
    // What a layer keeps and as much for a vector's images; and a dozen tensors of the size of its input and output.
    let kept = layers.flatMap(\.kept).reduce(0) { $0 + 2 * $1.count }
    let passing = linearized.calls.reduce(0) { $0 + 12 * ($1.input.count + $1.adjoint.count) }
    return min(max((512 << 20) / max((kept + passing) * images.dtype.size, 1), 1), 32)
  }
}
