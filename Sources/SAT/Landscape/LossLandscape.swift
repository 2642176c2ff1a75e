public import SwiftTorch

/// A network's loss along one or two random directions of its parameters (paper, Fig. 1; Li et al. 2018), in evaluation mode.
public struct LossLandscape {
  /// Evenly spaced positions along a direction, including both ends.
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

  /// The images at which the loss is measured.
  public enum Examples {
    /// The same images at every point: clean ones, or perturbed ones from the centre.
    case fixed(Tensor)
    /// Images that an attack makes from the clean images at each point, with the same draws.
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

  /// The number of points of the grid, numbered with the first axis fastest.
  public var count: Int { axes.reduce(1) { $0 * $1.points } }

  /// Creates the landscape of a classifier in evaluation mode, with one or two directions, as many as axes; labels [N] are int64.
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

  /// Returns a point's position, one coordinate per axis.
  public func position(of point: Int) -> [Double] {
    let first = axes[0].positions[point % axes[0].points]
    return axes.count == 1 ? [first] : [first, axes[1].positions[point / axes[0].points]]
  }

  /// Evaluates points of the grid, and restores the weights; `found` runs on the caller's thread, `shouldStop` before every point.
  ///
  /// For networks from the catalogue, `workers` threads compute points at once, each with its own copy. The results do not depend
  /// on their number. Other models compute one point after another with libtorch's threads. `progress` receives the finished
  /// fractions of the unfinished points, added up.
  /// - Throws: the model's errors, and `TorchError` for a loss that is not finite.
  public func evaluate(
    _ points: [Int], workers: Int = 1, found: (Int, Value) throws -> Void, progress: (Double) -> Void = { _ in },
    shouldStop: () -> Bool = { false }
  ) throws {
    guard workers > 1, points.count > 1, let network = classifier as? NetworkClassifier else {
      let mover = try GridMover(classifier, self)
      defer { mover.restore() }
      for point in points where !shouldStop() { try found(point, try mover.value(at: point, part: progress)) }
      return
    }
    let threads = Torch.threadCount
    defer { try? Torch.setThreadCount(threads) }
    let movers = try (0..<min(workers, points.count)).map { _ in try GridMover(network.copy(), self) }
    try GridWork(points, movers).collect(found, progress: progress, shouldStop)
  }
}
