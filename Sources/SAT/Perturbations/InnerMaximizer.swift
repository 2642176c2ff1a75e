public import SwiftTorch

/// Projected gradient ascent on a batch under a `Curriculum`: the inner maximisation of every method (Eq. 10, Alg. 1, Table 4).
///
/// A finished sample leaves the batch, never moves again and costs nothing more. A sample that a step does not choose costs nothing
/// in that step. The other samples get the same results, because the caller sets evaluation mode, where samples are independent.
public struct InnerMaximizer: Sendable {
  public var threat: ThreatModel
  /// The largest number of gradient steps.
  public var steps: Int
  /// Length of a step in pixel units, in the threat model's norm.
  public var stepSize: Double
  public var start: Start
  /// Standard deviation of Gaussian noise added to every step before the projection (FAT's omega); 0 for none.
  public var noise: Double

  /// The starting point of the ascent.
  public enum Start: Sendable, Equatable {
    /// The clean image.
    case clean
    /// A random point of the ball, from `ThreatModel.randomStart`.
    case random
    /// The image plus Gaussian noise of this standard deviation, projected on the ball and the box.
    case gaussian(Double)
  }

  public init(threat: ThreatModel, steps: Int, stepSize: Double, start: Start = .random, noise: Double = 0) {
    self.threat = threat
    self.steps = steps
    self.stepSize = stepSize
    self.start = start
    self.noise = noise
  }

  /// The description of a perturbation in documents.
  public struct Summary: Codable, Sendable, Equatable {
    public var norm: Norm
    public var epsilon: Double
    public var steps: Int
    public var stepSize: Double
  }

  public var summary: Summary { Summary(norm: threat.norm, epsilon: threat.epsilon, steps: steps, stepSize: stepSize) }

  /// The result of the ascent for one batch.
  public struct Outcome {
    /// The last iterates [N, C, H, W], outside the graph.
    public var images: Tensor
    /// The fraction of the batch that moved, one entry per step.
    public var active: [Double]
    public var cost: AttackCost
  }

  /// Perturbs images [N, C, H, W] in [0, 1] with int64 labels [N], so that the loss of a model in evaluation mode rises.
  ///
  /// A CPU generator draws the starting points and the noise of the steps.
  /// - Throws: the model's errors, or `TorchError` when the model's output has no gradient with respect to its input.
  public func callAsFunction(
    _ model: some Classifier, _ images: Tensor, _ labels: Tensor, curriculum: some Curriculum, loss: InnerLoss = .crossEntropy,
    generator: Generator
  ) throws(TorchError) -> Outcome {
    let start = startingPoints(around: images, radii: curriculum.radii, generator: generator)
    return try ascend(model, from: start, clean: images, labels, curriculum, loss: loss, generator: generator)
  }

  /// Returns starting points around the images, inside balls of the threat model's radius or of the given radii [N].
  public func startingPoints(around images: Tensor, radii: Tensor? = nil, generator: Generator) -> Tensor {
    switch start {
    case .clean: return images
    case .random: return threat.randomStart(around: images, radii: radii, generator: generator)
    case .gaussian(let deviation):
      let noise = Tensor.randn(images.shape, generator: generator, dtype: images.dtype).to(images.device)
      return FeasibleSet(threat, around: images, radii: radii).projected(images.adding(noise, alpha: deviation))
    }
  }

  /// Does the same with given draws in the images' shape: uniform on [0, 1), or normal with mean 0 and variance 1.
  func startingPoints(around images: Tensor, _ draws: (CounterRandom.Distribution) -> Tensor) -> Tensor {
    switch start {
    case .clean: images
    case .random: threat.randomStart(around: images, draws)
    case .gaussian(let deviation): FeasibleSet(threat, around: images).projected(images.adding(draws(.normal), alpha: deviation))
    }
  }

  /// Perturbs a batch from given starting points; `generator` is needed only for noise.
  func ascend(
    _ model: some Classifier, from start: Tensor, clean: Tensor, _ labels: Tensor, _ curriculum: some Curriculum,
    loss: InnerLoss = .crossEntropy, generator: Generator? = nil
  ) throws(TorchError) -> Outcome {
    let total = clean.size(0)
    let counts = curriculum.stepCounts
    let steps = counts.map { Int($0.max().item()) } ?? steps
    var active = ActiveSet(
      images: start.detached(), labels: labels, feasible: FeasibleSet(threat, around: clean.detached(), radii: curriculum.radii),
      stepSizes: curriculum.stepSizes, stepCounts: counts)
    var (moved, cost) = ([Double](), AttackCost())
    for index in 0..<steps {
      active.retire(before: index)
      if active.count == 0 { break }
      let choice = try withNoGrad { () throws(TorchError) in try curriculum.chosen(active.samples(at: index)) }
      let chosen = choice?.positions
      if chosen?.count == 0 {
        moved.append(0)
        continue
      }
      if let choice, let gradient = choice.gradient {
        active.advance(chosen, nil, gradient, stepSize, noise: drawnNoise(like: clean, generator))
        moved.append(Double(choice.positions.count) / Double(total))
        continue
      }
      let moving = chosen.map { active.selecting($0) } ?? active
      let step = try Self.forwardPass(model, moving.samples(at: index), loss)
      cost.forward += moving.count
      let remaining = try Self.remaining(curriculum, step)
      if chosen == nil, remaining?.count == 0 { break }
      let gradient = remaining?.count == 0 ? nil : try step.gradient()
      if step.hasGradient { cost.backward += moving.count }
      active.advance(chosen, remaining, gradient, stepSize, noise: drawnNoise(like: clean, generator))
      moved.append(Double(remaining?.count ?? moving.count) / Double(total))
    }
    moved += Array(repeating: 0, count: steps - moved.count)
    return Outcome(images: active.allImages(), active: moved, cost: cost)
  }

  /// Returns noise for the whole batch, so that a sample's noise does not depend on the other active samples.
  private func drawnNoise(like clean: Tensor, _ generator: Generator?) -> Tensor? {
    guard noise > 0, let generator else { return nil }
    return Tensor.randn(clean.shape, generator: generator, dtype: clean.dtype).multiplyInPlace(by: noise).to(clean.device)
  }

  /// Runs the forward pass of a step; the backward pass runs only when the gradient is asked for.
  private static func forwardPass(
    _ model: some Classifier, _ samples: InnerSamples, _ loss: InnerLoss
  ) throws(TorchError) -> InnerStep {
    let input = samples.images.detached().requireGrad()
    let logits = try withGrad { () throws(TorchError) in try model.logits(input) }
    return InnerStep(samples: samples, logits: logits.detached()) { () throws(TorchError) in
      try rawInputGradient(of: withGrad { loss.sum(logits, samples) }, at: input)
    }
  }

  /// Returns the int64 positions of the step's samples that go on; nil when all do.
  private static func remaining(_ curriculum: some Curriculum, _ step: InnerStep) throws(TorchError) -> Tensor? {
    guard let finished = try withNoGrad({ () throws(TorchError) in try curriculum.finished(step) }) else { return nil }
    let remaining = (!finished).nonzero().squeezed(dim: 1)
    return remaining.count == step.labels.count ? nil : remaining
  }
}
