public import SwiftTorch

extension InnerMaximizer {
  /// Where the ascent of every image ends at full strength, right or wrong: the images at which the Hessian of the adversarial loss is
  /// taken (Eq. 9).
  ///
  /// A network of the catalogue answers with prepared weights.
  /// - Parameters:
  ///   - images: [N, C, H, W] in [0, 1].
  ///   - labels: [N], int64.
  ///   - generator: a CPU generator; draws the starts.
  ///   - progress: hears of the fraction that is done.
  /// - Returns: [N, C, H, W], outside the graph.
  public func adversarialImages(
    _ classifier: any Classifier, _ images: Tensor, _ labels: Tensor, batchSize: Int = 128, generator: Generator,
    progress: (Double) -> Void = { _ in }
  ) throws(TorchError) -> Tensor {
    func ascend() throws(TorchError) -> Tensor {
      var parts: [Tensor] = []
      for (x, y) in zip(images.split(size: batchSize), labels.split(size: batchSize)) {
        parts.append(try self(classifier, x, y, curriculum: FullStrength(), generator: generator).images)
        progress(Double(parts.count * batchSize) / Double(max(labels.count, parts.count * batchSize)))
      }
      return Tensor.concatenated(parts)
    }
    guard let network = classifier as? NetworkClassifier else { return try ascend() }
    return try network.withPreparedWeights(for: images, precision: .fp32, ascend)
  }
}
