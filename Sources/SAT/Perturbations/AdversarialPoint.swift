public import SwiftTorch

extension InnerMaximizer {
  /// Returns the last iterate of every image, also of misclassified ones, after ascent at full strength, [N, C, H, W].
  ///
  /// The Hessian of the adversarial loss is taken at these images (Eq. 9). Images [N, C, H, W] lie in [0, 1], labels [N] are int64,
  /// and a CPU generator draws the starting points. A network from the catalogue uses prepared weights.
  public func adversarialImages(
    _ classifier: any Classifier, _ images: Tensor, _ labels: Tensor, batchSize: Int = 128, generator: Generator,
    progress: (Double) -> Void = { _ in }
  ) throws(TorchError) -> Tensor {
    try adversarialImages(classifier, images, labels, batchSize: batchSize, generator: generator, progress: progress) { false }!
  }

  /// Does the same for work that can be stopped; nil when `shouldStop` returned true before a batch.
  fileprivate func adversarialImages(
    _ classifier: any Classifier, _ images: Tensor, _ labels: Tensor, batchSize: Int, generator: Generator,
    progress: (Double) -> Void, shouldStop: () -> Bool
  ) throws(TorchError) -> Tensor? {
    func ascend() throws(TorchError) -> Tensor? {
      var parts: [Tensor] = []
      for (x, y) in zip(images.split(size: batchSize), labels.split(size: batchSize)) {
        if shouldStop() { return nil }
        parts.append(try self(classifier, x, y, curriculum: FullStrength(), generator: generator).images)
        progress(Double(parts.count * batchSize) / Double(max(labels.count, parts.count * batchSize)))
      }
      return Tensor.concatenated(parts)
    }
    guard let network = classifier as? NetworkClassifier else { return try ascend() }
    return try network.withPreparedWeights(for: images, precision: .fp32, ascend)
  }
}

/// A perturbation for measuring a loss: ascent at full strength, and the seed of its random draws.
public struct ImagePerturbation: Sendable {
  public var maximizer: InnerMaximizer
  public var seed: UInt64

  public init(_ maximizer: InnerMaximizer, seed: UInt64) {
    self.maximizer = maximizer
    self.seed = seed
  }

  /// Returns the perturbed images; nil when `shouldStop` returned true before a batch.
  func images(
    _ classifier: any Classifier, _ clean: Tensor, _ labels: Tensor, _ batchSize: Int, _ progress: (JobProgress) -> Void,
    _ shouldStop: () -> Bool
  ) throws(TorchError) -> Tensor? {
    try maximizer.adversarialImages(
      classifier, clean, labels, batchSize: batchSize, generator: Generator(seed: seed),
      progress: { progress(JobProgress(phase: "perturbing", fraction: $0)) }, shouldStop: shouldStop)
  }

  /// Describes everything that determines the perturbed images, except model and data, for the identity of a saved state.
  func description(batchSize: Int) -> String {
    let start =
      switch maximizer.start {
      case .clean: "the image"
      case .random: "a random point"
      case .gaussian(let deviation): "Gaussian noise of \(deviation)"
      }
    let noise = maximizer.noise > 0 ? ", noise \(maximizer.noise)" : ""
    return "\(maximizer.threat.norm.rawValue) \(maximizer.threat.epsilon), \(maximizer.steps) steps of \(maximizer.stepSize) from "
      + "\(start)\(noise), seed \(seed), batches of \(batchSize)"
  }
}
