public import SwiftTorch

/// A network's loss along one or two random directions of its parameters (paper, Fig. 1; Li et al. 2018).
///
/// BatchNorm is in evaluation mode with its statistics as they are.
public struct LossLandscape {
  /// Evenly spaced positions along a direction, both ends included.
  public struct Axis: Sendable, Equatable, Codable {
    public var start: Double
    public var end: Double
    public var points: Int

    public init(start: Double = -1, end: Double = 1, points: Int) {
      self.start = start
      self.end = end
      self.points = points
    }

    public var positions: [Double] {
      (0..<points).map { points == 1 ? start : start + (end - start) * Double($0) / Double(points - 1) }
    }
  }

  /// Which images the loss is of.
  public enum Examples {
    /// These at every point: clean ones, or those an attack found at the centre.
    case fixed(Tensor)
    /// Those an attack finds at each point from the clean images, with the same draws everywhere.
    case reattacked(Tensor, InnerMaximizer, seed: UInt64)
  }

  /// The loss and the accuracy at one point.
  public struct Value: Sendable, Equatable, Codable {
    public var loss: Double
    public var accuracy: Double
  }

  public let directions: [LandscapeDirection]
  public let axes: [Axis]
  private let classifier: any Classifier
  let examples: Examples
  let labels: Tensor
  let batchSize: Int

  /// Points of the grid. The first axis runs fastest.
  public var count: Int { axes.reduce(1) { $0 * $1.points } }

  /// - Parameters:
  ///   - classifier: in evaluation mode; as it is again after every call.
  ///   - directions: as many as axes, one or two.
  ///   - labels: [N], int64.
  public init(
    _ classifier: any Classifier, directions: [LandscapeDirection], axes: [Axis], examples: Examples, labels: Tensor,
    batchSize: Int = 128
  ) {
    precondition(directions.count == axes.count && (1...2).contains(axes.count), "LossLandscape: \(axes.count) axes")
    self.classifier = classifier
    self.directions = directions
    self.axes = axes
    self.examples = examples
    self.labels = labels
    self.batchSize = batchSize
  }

  /// Where a point of the grid is, one position per axis.
  public func position(of point: Int) -> [Double] {
    let first = axes[0].positions[point % axes[0].points]
    return axes.count == 1 ? [first] : [first, axes[1].positions[point / axes[0].points]]
  }

  /// Evaluates points of the grid.
  ///
  /// Networks of the catalogue are copied, and as many points are worked on at once as `workers` says, each by one thread; the results
  /// do not depend on their number. Other models take point after point with libtorch's own threads.
  /// - Parameters:
  ///   - found: gets every point's value as it is known, one call at a time.
  ///   - shouldStop: asked before every point; true ends the work.
  /// - Throws: what the model throws, and `TorchError` for a loss that is not finite.
  public func evaluate(
    _ points: [Int], workers: Int = 1, found: (Int, Value) throws -> Void, shouldStop: () -> Bool = { false }
  ) throws {
    guard workers > 1, points.count > 1, let network = classifier as? NetworkClassifier else {
      let mover = try GridMover(classifier, self)
      defer { mover.putBack() }
      for point in points where !shouldStop() { try found(point, try mover.value(at: point)) }
      return
    }
    let threads = Torch.threadCount
    defer { try? Torch.setThreadCount(threads) }
    let movers = try (0..<min(workers, points.count)).map { _ in try GridMover(network.copy(), self) }
    let work = GridWork(points)
    work.start(movers)
    try work.collect(found, shouldStop)
  }
}

extension NetworkClassifier {
  /// A network of its own with the same weights, in evaluation mode.
  func copy() throws -> NetworkClassifier {
    let twin = NetworkClassifier(
      try architecture.make(generator: Generator(seed: 0)), architecture: architecture, normalization: normalization)
    if let first = module.parameters.first?.value {
      twin.module.convert(to: first.dtype)
      twin.move(to: first.device)
    }
    try twin.module.loadStateDict(module.stateDict)
    twin.execution = execution
    twin.module.setTraining(false)
    return twin
  }
}
