public import SwiftTorch

/// Projected gradient ascent on the cross-entropy of a batch: the inner maximisation of every method of the paper, shaped by a
/// `Curriculum` (Eq. 10, Algorithm 1).
///
/// A sample that has finished leaves the batch: it costs nothing from then on and never moves again. The result for the others does
/// not change, because samples do not influence each other while BatchNorm is in evaluation mode, which is the caller's to
/// arrange.
public struct InnerMaximizer: Sendable {
  public var threat: ThreatModel
  /// Gradient steps at most.
  public var steps: Int
  /// Length of a step in pixel units, in the threat model's norm.
  public var stepSize: Double
  /// Whether to start at a random point of the ball rather than at the image.
  public var randomStart: Bool

  public init(threat: ThreatModel, steps: Int, stepSize: Double, randomStart: Bool = true) {
    self.threat = threat
    self.steps = steps
    self.stepSize = stepSize
    self.randomStart = randomStart
  }

  /// Where a batch ended.
  public struct Outcome {
    /// The last iterates [N, C, H, W], outside the graph.
    public var images: Tensor
    /// Fraction of the batch that was moved, one entry per step.
    public var active: [Double]
    public var cost: AttackCost
  }

  /// - Parameters:
  ///   - model: in evaluation mode.
  ///   - images: [N, C, H, W] in [0, 1].
  ///   - labels: [N], int64.
  ///   - generator: a CPU generator; draws the random starts.
  /// - Throws: what the model throws, or `TorchError` when its output cannot be differentiated with respect to its input.
  public func callAsFunction(
    _ model: some Classifier, _ images: Tensor, _ labels: Tensor, curriculum: some Curriculum, generator: Generator
  ) throws(TorchError) -> Outcome {
    let start = randomStart ? threat.randomStart(around: images, generator: generator) : images
    return try ascend(model, from: start, clean: images, labels, curriculum)
  }

  /// As above, from given starting points.
  func ascend(
    _ model: some Classifier, from start: Tensor, clean: Tensor, _ labels: Tensor, _ curriculum: some Curriculum
  ) throws(TorchError) -> Outcome {
    let total = clean.size(0)
    var active = ActiveSet(start: start.detached(), labels: labels, feasible: Feasible(threat, around: clean.detached()))
    var moved: [Double] = []
    var cost = AttackCost()
    for index in 0..<steps {
      let input = active.images.detached().requiringGrad()
      let logits = try withGrad { () throws(TorchError) in try model.logits(input) }
      cost.forward += active.count
      let remaining = active.remaining(curriculum, InnerStep(index: index, logits: logits.detached(), labels: active.labels))
      if let remaining, remaining.count == 0 { break }
      let gradient = try Self.gradient(of: logits.crossEntropy(active.labels, reduction: .sum), input)
      cost.backward += active.count
      active.advance(remaining, gradient, stepSize)
      moved.append(Double(active.count) / Double(total))
    }
    moved += Array(repeating: 0, count: steps - moved.count)
    return Outcome(images: active.allImages(), active: moved, cost: cost)
  }

  private static func gradient(of loss: Tensor, _ input: Tensor) throws(TorchError) -> Tensor {
    guard loss.requiresGrad, let gradient = try Tensor.checkedGradient(of: loss, withRespectTo: input) else {
      throw TorchError(
        .value, "the model's output does not depend differentiably on its input; a gradient attack needs a differentiable model")
    }
    return gradient
  }
}

/// The samples of a batch that still move.
private struct ActiveSet {
  /// Current iterates of the active samples.
  private(set) var images: Tensor
  private(set) var labels: Tensor
  private var feasible: Feasible
  /// Where the active samples sit in the batch; nil while all are active.
  private var positions: Tensor?
  /// Final iterates of the whole batch, once some sample has finished.
  private var settled: Tensor?

  init(start: Tensor, labels: Tensor, feasible: Feasible) {
    (images, self.labels, self.feasible) = (start, labels, feasible)
  }

  var count: Int { labels.count }

  /// Which of the active samples go on, as int64 positions among them; nil when all do.
  func remaining(_ curriculum: some Curriculum, _ step: InnerStep) -> Tensor? {
    guard let finished = withNoGrad({ curriculum.finished(step) }) else { return nil }
    let remaining = (!finished).nonzero().squeezed(dim: 1)
    return remaining.count == count ? nil : remaining
  }

  /// Drops the samples not in `remaining` and moves the others.
  mutating func advance(_ remaining: Tensor?, _ gradient: Tensor, _ size: Double) {
    withNoGrad {
      var gradient = gradient
      if let remaining {
        settle()
        (images, labels) = (images.selecting(remaining), labels.selecting(remaining))
        (feasible, gradient) = (feasible.selecting(remaining), gradient.selecting(remaining))
        positions = positions?.selecting(remaining) ?? remaining
      }
      images = feasible.step(from: images, along: gradient, size: size)
    }
  }

  private mutating func settle() {
    if let settled, let positions {
      settled.copyInPlace(from: images, at: positions)
    } else {
      settled = images.cloned()
    }
  }

  /// The iterates of the whole batch, in its order.
  func allImages() -> Tensor {
    guard let settled, let positions else { return images }
    return withNoGrad { settled.copyInPlace(from: images, at: positions) }
  }
}
