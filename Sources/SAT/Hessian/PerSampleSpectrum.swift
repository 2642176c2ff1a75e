public import SwiftTorch

/// The eigenvalue σ₁ of largest magnitude of each sample's own Hessian ∇²_θ ℓ (paper, Section 4.2 and Fig. 7).
public struct PerSampleSpectrum: Codable, Sendable {
  /// The eigenvalues of largest magnitude with their signs, [N]; a magnitude is the spectral norm ‖∇²_θ ℓ‖₍₂₎.
  public var eigenvalues: [Double] = []
  /// The residual ‖Hv − λv‖ / |λ| of each sample: an eigenvalue lies within this fraction of λ.
  public var residuals: [Double] = []
  /// The number of products with each sample's Hessian.
  public var iterations: [Int] = []
  /// True for each sample that met the tolerance before the iterations ran out.
  public var isConverged: [Bool] = []

  /// The settings of the measurement.
  public struct Settings: Sendable {
    /// The largest accepted ‖Hv − λv‖ / |λ|; the relative error of λ is about its square.
    public var tolerance = 1e-2
    /// The largest number of products per sample.
    public var maximumIterations = 60
    /// The number of samples per pass; nil for as many as fit into 512 MiB, at most 32.
    public var chunk: Int?
    /// The seed of the random part of the starting vectors.
    public var seed: UInt64 = 0

    public init() {}
  }

  /// Returns each sample's eigenvalue of largest magnitude, by Lanczos.
  ///
  /// The method works on whole batches if all parameters are in convolutions, linear layers and BatchNorm. Otherwise it takes one
  /// sample after another. Unlike the power method, Lanczos separates a dominant pair λ, −λ; the Hessian of a misclassified sample
  /// nearly has such a pair. The classifier is in evaluation mode and full precision. Images [N, C, H, W] have the parameters'
  /// dtype and device; labels [N] are int64.
  public static func topEigenvalues(
    _ classifier: any Classifier, images: Tensor, labels: Tensor, settings: Settings = Settings(),
    progress: (_ done: Int) -> Void = { _ in }
  ) throws(TorchError) -> PerSampleSpectrum {
    var result = PerSampleSpectrum()
    let chunk = try chunkSize(classifier, images, labels, settings)
    // The first chunk finds the value for all samples.
    var isCurved: Bool?
    // A network without support for batches takes one sample at a time.
    for range in (0..<labels.count).chunks(of: chunk ?? 1) {
      let part: PerSampleSpectrum
      if chunk != nil, let network = classifier as? NetworkClassifier {
        var lanczos = BatchedLanczos(
          classifier: network, images: images[range], labels: labels[range], settings: settings, isCurved: isCurved)
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

  mutating func append(_ other: PerSampleSpectrum) {
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

  /// Returns the number of samples per pass; nil if the network needs one sample at a time.
  private static func chunkSize(
    _ classifier: any Classifier, _ images: Tensor, _ labels: Tensor, _ settings: Settings
  ) throws(TorchError) -> Int? {
    guard let network = classifier as? NetworkClassifier else { return nil }
    guard let linearized = try LinearizedNetwork(network, images[0..<1], labels[0..<1]),
      let layers = BatchedLanczos.layers(linearized), try linearized.accountsForAllGradients(of: network.module.parameters)
    else { return nil }
    if let chunk = settings.chunk { return max(chunk, 1) }
    // A layer needs its kept tensors, as much again for a vector's images, and about twelve tensors of input's and output's size.
    let kept = layers.flatMap(\.kept).reduce(0) { $0 + 2 * $1.count }
    let passing = linearized.calls.reduce(0) { $0 + 12 * ($1.input.count + $1.adjoint.count) }
    return min(max((512 << 20) / max((kept + passing) * images.dtype.size, 1), 1), 32)
  }
}
