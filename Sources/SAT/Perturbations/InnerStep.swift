public import SwiftTorch

/// Some samples of a batch at a step of the inner maximisation.
public struct InnerSamples {
  /// Number of the step, from 0.
  public let index: Int
  /// Current iterates [n, C, H, W], outside the graph.
  public let images: Tensor
  /// The images they started from, before any noise.
  public let clean: Tensor
  /// [n], int64.
  public let labels: Tensor
  /// Where the samples sit in the batch, int64 [n]; nil when they are the whole batch in its order.
  public let positions: Tensor?

  public init(index: Int, images: Tensor, clean: Tensor, labels: Tensor, positions: Tensor? = nil) {
    self.index = index
    self.images = images
    self.clean = clean
    self.labels = labels
    self.positions = positions
  }

  /// The rows of a tensor [N, …] of the batch that belong to these samples.
  public func rows(of tensor: Tensor) -> Tensor { positions.map { tensor.selecting($0) } ?? tensor }
}

/// What the inner maximiser knows about the samples it is about to move: everything comes from the one forward pass whose gradient
/// moves them.
public final class InnerStep {
  public let samples: InnerSamples
  /// Logits [n, C] of the current iterates, outside the graph.
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

  /// The gradient of each sample's loss with respect to its image, [n, C, H, W]; computed when first asked for, once.
  public func gradient() throws(TorchError) -> Tensor {
    if let found { return found }
    let gradient = try differentiate()
    found = gradient
    return gradient
  }

  /// Whether the gradient has been computed.
  var hasGradient: Bool { found != nil }
}

/// What the inner maximisation ascends: a sum over samples, so that each sample's gradient is its own whatever the batch.
public struct InnerLoss {
  /// The sum over the samples, a scalar in the graph of their logits [n, C].
  public let sum: (_ logits: Tensor, _ samples: InnerSamples) -> Tensor

  public init(_ sum: @escaping (_ logits: Tensor, _ samples: InnerSamples) -> Tensor) { self.sum = sum }

  public static var crossEntropy: InnerLoss { InnerLoss { $0.crossEntropy($1.labels, reduction: .sum) } }
}
