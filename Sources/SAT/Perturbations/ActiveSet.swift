internal import SwiftTorch

/// The samples of a batch that may still move in the inner maximisation.
struct ActiveSet {
  /// Current iterates of the active samples.
  private(set) var images: Tensor
  private(set) var labels: Tensor
  private(set) var feasible: FeasibleSet
  private(set) var stepSizes: Tensor?
  private(set) var stepCounts: Tensor?
  /// Positions of the active samples in the batch; nil while all are active.
  private(set) var positions: Tensor?
  /// Final iterates of the whole batch, once some sample has finished.
  private(set) var finalImages: Tensor?

  var count: Int { labels.count }

  func samples(at index: Int) -> InnerSamples {
    InnerSamples(index: index, images: images, clean: feasible.clean, labels: labels, positions: positions)
  }

  /// Returns a new set with the samples at the given positions among the active ones.
  func selecting(_ chosen: Tensor) -> ActiveSet {
    var part = self
    part.keep(chosen)
    return part
  }

  /// Drops the samples that have taken all their steps.
  mutating func retire(before index: Int) {
    guard let counts = stepCounts else { return }
    let left = counts.greater(than: index).nonzero().squeezed(dim: 1)
    if left.count < count { drop(allBut: left) }
  }

  /// Moves a step's samples by `size` along their gradient and drops those that finished.
  ///
  /// - Parameters:
  ///   - chosen: the positions of the step's samples among the active ones; nil for all.
  ///   - remaining: the positions, among the step's samples, of those that go on; nil for all.
  ///   - gradient: the gradient of the step's samples; nil when none goes on.
  ///   - noise: the noise of the whole batch.
  mutating func advance(_ chosen: Tensor?, _ remaining: Tensor?, _ gradient: Tensor?, _ size: Double, noise: Tensor?) {
    withNoGrad {
      guard let chosen else {
        if let remaining { drop(allBut: remaining) }
        if let gradient { images = moved(along: remaining.map { gradient.selecting($0) } ?? gradient, size, noise) }
        return
      }
      let going = remaining.map { chosen.selecting($0) } ?? chosen
      if let gradient {
        let part = selecting(going)
        let ends = part.moved(along: remaining.map { gradient.selecting($0) } ?? gradient, size, noise)
        images = images.cloned().copyInPlace(from: ends, at: going)
      }
      if remaining != nil {
        // Keeps all samples that were not chosen, and the chosen ones that go on.
        let keeping = Tensor.ones([count], dtype: .int64, device: labels.device)
          .copyInPlace(from: Tensor.zeros([chosen.count], dtype: .int64, device: labels.device), at: chosen)
          .copyInPlace(from: Tensor.ones([going.count], dtype: .int64, device: labels.device), at: going)
        drop(allBut: keeping.nonzero().squeezed(dim: 1))
      }
    }
  }

  private func moved(along gradient: Tensor, _ size: Double, _ noise: Tensor?) -> Tensor {
    let noise = noise.map { noise in positions.map { noise.selecting($0) } ?? noise }
    return feasible.step(from: images, along: gradient, size: size, sizes: stepSizes, noise: noise)
  }

  private mutating func drop(allBut remaining: Tensor) {
    if let finalImages, let positions {
      finalImages.copyInPlace(from: images, at: positions)
    } else {
      finalImages = images.cloned()
    }
    keep(remaining)
  }

  private mutating func keep(_ chosen: Tensor) {
    images = images.selecting(chosen)
    labels = labels.selecting(chosen)
    feasible = feasible.selecting(chosen)
    stepSizes = stepSizes?.selecting(chosen)
    stepCounts = stepCounts?.selecting(chosen)
    positions = positions?.selecting(chosen) ?? chosen
  }

  /// Returns the iterates of the whole batch, in the batch's order.
  func allImages() -> Tensor {
    guard let finalImages, let positions else { return images }
    return withNoGrad { finalImages.copyInPlace(from: images, at: positions) }
  }
}
