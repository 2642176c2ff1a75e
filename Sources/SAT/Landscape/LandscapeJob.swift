internal import SwiftTorch

/// A job that measures a model's loss, in full precision, on a grid around its weights.
public struct LandscapeJob {
  /// The images at which the loss is measured.
  public enum Examples: Sendable {
    case clean
    /// Images perturbed once, at the model's own weights.
    case fixed(ImagePerturbation)
    /// Images perturbed again at every point of the grid, with the same draws.
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
  /// The number of directions: 1 for a curve, 2 for a surface.
  public var dimensions: Int
  public var axis: LossLandscape.Axis
  public var vectors = LandscapeDirection.Vectors.fixed
  /// The seed of the directions.
  public var seed: UInt64 = 0
  public var batchSize = 128
  /// The number of points to compute at once; nil for libtorch's threads on the CPU with fewer than 5 million parameters, else 1.
  public var workers: Int?
  /// The folder for the saved state: finished points; nil saves nothing.
  public var state: String?

  /// A finished grid and the job that made it.
  public struct Result {
    public let job: LandscapeJob
    public let landscape: LossLandscape
    /// The values by the number of the point.
    public let values: [Int: LossLandscape.Value]
    public let seconds: Double
  }

  /// Creates a job with 1 or 2 dimensions, and the same positions along every direction.
  public init(model: LoadedModel, data: ImageDataset, examples: Examples, dimensions: Int = 2, axis: LossLandscape.Axis) {
    self.model = model
    self.data = data
    self.examples = examples
    self.dimensions = dimensions
    self.axis = axis
  }

  /// Runs the job; it asks `shouldStop` before every batch of the perturbation and before every point.
  ///
  /// - Throws: `JobStopped` when `shouldStop` returned true, `SATError` for a model without weights or a state of another job,
  ///   and the model's errors.
  public func run(progress: (JobProgress) -> Void = { _ in }, shouldStop: () -> Bool = { false }) throws -> Result {
    let start = ContinuousClock.now
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
      func report(_ part: Double = 0) {
        let done = store.values.count
        progress(JobProgress(phase: "landscape", fraction: (Double(done) + part) / Double(all), detail: "\(done)/\(all) points"))
      }
      func save(_ point: Int, _ value: LossLandscape.Value) throws {
        try store.put(value, at: point)
        report()
      }
      report()
      let isSmall = weights.reduce(0) { $0 + $1.count } < 5_000_000
      try landscape.evaluate(
        (0..<all).filter { store.values[$0] == nil }, workers: workers ?? (isSmall && !model.device.isCUDA ? Torch.threadCount : 1),
        found: save, progress: report, shouldStop: shouldStop)
      guard store.values.count == all else { throw try stopped() }
      try store.write()
      return Result(job: self, landscape: landscape, values: store.values, seconds: (.now - start) / .seconds(1))
    }
  }

  /// Returns the images of the measurement; nil when `shouldStop` returned true.
  private func images(
    _ clean: Tensor, _ labels: Tensor, _ progress: (JobProgress) -> Void, _ shouldStop: () -> Bool
  ) throws -> LossLandscape.Examples? {
    switch examples {
    case .clean: .fixed(clean)
    case .reattacked(let perturbation): .reattacked(clean, perturbation.maximizer, seed: perturbation.seed)
    case .fixed(let perturbation):
      try perturbation.images(model.classifier, clean, labels, batchSize, progress, shouldStop).map { .fixed($0) }
    }
  }

  /// Returns the identity of the state: everything that the saved points depend on.
  private func identity() throws -> StateIdentity {
    var identity = try StateIdentity(model: model, data: data, seed: seed)
    identity["precision"] = "fp32"
    let perturbation = examples.perturbation.map { ", \($0.description(batchSize: batchSize))" }
    identity["examples"] = examples.name + (perturbation ?? "")
    identity["grid"] = "\(dimensions) x \(axis.points) points from \(axis.start) to \(axis.end), vectors \(vectors.rawValue)"
    return identity
  }
}
