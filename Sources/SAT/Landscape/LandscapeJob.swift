internal import SwiftTorch

/// Samples a model's loss on a grid around its weights.
///
/// The model computes in full precision meanwhile, whatever its own precision is, and is as before afterwards.
public struct LandscapeJob {
  /// The images the loss is of.
  public enum Examples: Sendable {
    case clean
    /// Perturbed once, at the model itself.
    case fixed(ImagePerturbation)
    /// Perturbed at every point of the grid, with the same draws everywhere.
    case reattacked(ImagePerturbation)

    /// The name in the document.
    public var name: String {
      switch self {
      case .clean: "clean"
      case .fixed: "fixed"
      case .reattacked: "reattack"
      }
    }

    public var perturbation: ImagePerturbation? {
      switch self {
      case .clean: nil
      case .fixed(let perturbation), .reattacked(let perturbation): perturbation
      }
    }
  }

  public let model: LoadedModel
  public let data: ImageDataset
  public var examples: Examples
  /// 1 for a curve, 2 for a surface.
  public var dimensions: Int
  public var axis: LossLandscape.Axis
  public var vectors = LandscapeDirection.Vectors.fixed
  /// Of the directions.
  public var seed: UInt64 = 0
  public var batchSize = 128
  /// Points worked on at once; nil for libtorch's number of threads with a network of fewer than 5 million parameters on the CPU, else 1.
  public var workers: Int?
  /// File that keeps the points that are done; nil keeps nothing.
  public var state: String?

  /// A finished grid and the job that made it.
  public struct Result {
    public let job: LandscapeJob
    public let landscape: LossLandscape
    /// By the number of the point.
    public let values: [Int: LossLandscape.Value]
    public let seconds: Double
  }

  /// - Parameters:
  ///   - dimensions: 1 or 2.
  ///   - axis: of every direction.
  public init(model: LoadedModel, data: ImageDataset, examples: Examples, dimensions: Int = 2, axis: LossLandscape.Axis) {
    self.model = model
    self.data = data
    self.examples = examples
    self.dimensions = dimensions
    self.axis = axis
  }

  /// - Parameter shouldStop: asked before every batch of the perturbation and before every point.
  /// - Throws: `JobStopped` when it was asked to stop, `SATError` for a model without weights or a state that belongs to something
  ///   else, and what the model throws.
  public func run(
    progress: (JobProgress) -> Void = { _ in }, shouldStop: () -> Bool = { false }
  ) throws -> Result {
    let clock = ContinuousClock()
    let start = clock.now
    try model.check(data)
    let weights = try model.parameters()
    guard !weights.isEmpty else {
      throw SATError("\(model.name): the model has no parameters of a floating-point type, so its loss has no landscape")
    }
    let directions = LandscapeDirection.orthogonal(dimensions, for: weights, vectors: vectors, seed: seed)
    return try model.measuringLoss(on: data) { clean, labels in
      let store = try LandscapeStore(state, identity: identity())
      let all = Array(repeating: axis.points, count: dimensions).reduce(1, *)
      func stopped() throws -> JobStopped {
        try store.write()
        return JobStopped(done: "\(store.values.count) of \(all) points")
      }
      guard let images = try images(clean, labels, progress, shouldStop) else { throw try stopped() }
      let landscape = LossLandscape(
        model.classifier, directions: directions, axes: Array(repeating: axis, count: dimensions), examples: images, labels: labels,
        batchSize: batchSize)
      func report() {
        progress(
          JobProgress(phase: "landscape", fraction: Double(store.values.count) / Double(all), detail: "\(store.values.count)/\(all) points"))
      }
      report()
      let isSmall = weights.reduce(0) { $0 + $1.count } < 5_000_000
      try landscape.evaluate(
        (0..<all).filter { store.values[$0] == nil }, workers: workers ?? (isSmall && !model.device.isCUDA ? Torch.threadCount : 1)
      ) { point, value in
        try store.put(value, at: point)
        report()
      } shouldStop: {
        shouldStop()
      }
      guard store.values.count == all else { throw try stopped() }
      try store.write()
      return Result(job: self, landscape: landscape, values: store.values, seconds: (clock.now - start) / .seconds(1))
    }
  }

  /// Nil when asked to stop.
  private func images(
    _ clean: Tensor, _ labels: Tensor, _ progress: (JobProgress) -> Void, _ shouldStop: () -> Bool
  ) throws -> LossLandscape.Examples? {
    switch examples {
    case .clean: return .fixed(clean)
    case .reattacked(let perturbation): return .reattacked(clean, perturbation.maximizer, seed: perturbation.seed)
    case .fixed(let perturbation):
      let found = try perturbation.maximizer.adversarialImages(
        model.classifier, clean, labels, batchSize: batchSize, generator: Generator(seed: perturbation.seed),
        progress: { progress(JobProgress(phase: "perturbing", fraction: $0)) }, shouldStop: shouldStop)
      return found.map { .fixed($0) }
    }
  }

  /// What the state belongs to.
  private func identity() throws -> StateIdentity {
    var identity = try StateIdentity(model: model, data: data, seed: seed)
    identity["precision"] = "fp32"
    identity["examples"] = ([examples.name] + (examples.perturbation.map { [$0.description(batchSize: batchSize)] } ?? [])).joined(separator: ", ")
    identity["grid"] = "\(dimensions) x \(axis.points) points from \(axis.start) to \(axis.end), vectors \(vectors.rawValue)"
    return identity
  }
}
