public import SwiftTorch

/// The samples that one step of the inner maximisation works on.
public struct InnerSamples {
  /// The number of the step, from 0.
  public let index: Int
  /// The current iterates [n, C, H, W], outside the graph.
  public let images: Tensor
  /// The clean images of the samples, before any noise.
  public let clean: Tensor
  /// [n], int64.
  public let labels: Tensor
  /// Positions of the samples in the batch, int64 [n]; nil when they are the whole batch in its order.
  public let positions: Tensor?

  public init(index: Int, images: Tensor, clean: Tensor, labels: Tensor, positions: Tensor? = nil) {
    self.index = index
    self.images = images
    self.clean = clean
    self.labels = labels
    self.positions = positions
  }

  /// Returns the rows for these samples of a batch's tensor [N, …].
  public func rows(of tensor: Tensor) -> Tensor { positions.map { tensor.selecting($0) } ?? tensor }
}

/// The data of one step before its samples move; logits and gradient come from one forward pass, so a curriculum costs no other.
public final class InnerStep {
  public let samples: InnerSamples
  /// The logits [n, C] of the current iterates, outside the graph.
  public let logits: Tensor
  private let differentiate: () throws(TorchError) -> Tensor
  private var found: Tensor?

  public init(samples: InnerSamples, logits: Tensor, gradient: @escaping () throws(TorchError) -> Tensor) {
    self.samples = samples
    self.logits = logits
    differentiate = gradient
  }

  public var index: Int { samples.index }
  public var labels: Tensor { samples.labels }

  /// Returns the gradient of each sample's loss with respect to its image, [n, C, H, W]; only the first call computes it.
  public func gradient() throws(TorchError) -> Tensor {
    if let found { return found }
    let gradient = try differentiate()
    found = gradient
    return gradient
  }

  /// True once the gradient has been computed.
  var hasGradient: Bool { found != nil }
}

/// The loss that the inner maximisation increases: a sum, so a sample's gradient does not depend on the rest of the batch.
public struct InnerLoss {
  /// Computes the sum over the samples, a scalar in the graph of their logits [n, C].
  public let sum: (_ logits: Tensor, _ samples: InnerSamples) -> Tensor

  public init(_ sum: @escaping (_ logits: Tensor, _ samples: InnerSamples) -> Tensor) { self.sum = sum }

  public static var crossEntropy: InnerLoss { InnerLoss { $0.crossEntropy($1.labels, reduction: .sum) } }
}
