internal import Foundation
public import SwiftTorch
internal import Synchronization

/// A network's loss along one or two random directions of its parameters (paper, Fig. 1; Li et al. 2018).
///
/// BatchNorm is in evaluation mode with its statistics as they are.
public struct LossLandscape {
  /// Evenly spaced positions along a direction, both ends included.
  public struct Axis: Sendable, Equatable, Codable {
    public var start: Double
    public var end: Double
    public var points: Int

    public init(start: Double = -1, end: Double = 1, points: Int) { (self.start, self.end, self.points) = (start, end, points) }

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
  private let examples: Examples
  private let labels: Tensor
  private let batchSize: Int

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
    (self.classifier, self.directions, self.axes) = (classifier, directions, axes)
    (self.examples, self.labels, self.batchSize) = (examples, labels, batchSize)
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
      let walker = try Walker(classifier, self)
      defer { walker.putBack() }
      for point in points where !shouldStop() { try found(point, try walker.value(at: point)) }
      return
    }
    let threads = Torch.threadCount
    defer { try? Torch.setThreadCount(threads) }
    let crew = try (0..<min(workers, points.count)).map { _ in Unshared(try Walker(network.copy(), self)) }
    let work = Work(crew.count)
    for walker in crew {
      Thread.detachNewThread {
        try? Torch.setThreadCount(1)
        while true {
          let index = work.next.wrappingAdd(1, ordering: .relaxed).oldValue
          if index >= points.count { break }
          do {
            let value = try walker.value.value(at: points[index])
            work.results.withLock { $0.values.append((points[index], value)) }
          } catch { work.results.withLock { $0.error = error } }
          work.arrived.signal()
        }
        work.results.withLock { $0.running -= 1 }
        work.arrived.signal()
      }
    }
    var failure: (any Error)?
    while true {
      work.arrived.wait()
      let news = work.results.withLock { state in
        defer { state.values = [] }
        return state
      }
      failure = failure ?? news.error
      if failure == nil {
        do { for (point, value) in news.values { try found(point, value) } } catch { failure = error }
      }
      // The workers then find nothing left to do.
      if failure != nil || shouldStop() { work.next.store(points.count, ordering: .relaxed) }
      if news.running == 0 { break }
    }
    if let failure { throw failure }
  }

  /// What the threads share.
  private final class Work: Sendable {
    struct Results {
      var values: [(point: Int, value: Value)] = []
      var error: (any Error)?
      var running: Int
    }

    /// The next of the points.
    let next = Atomic<Int>(0)
    let results: Mutex<Results>
    let arrived = DispatchSemaphore(value: 0)

    init(_ workers: Int) { results = Mutex(Results(running: workers)) }
  }

  /// One network that is moved from point to point.
  fileprivate final class Walker {
    private let classifier: any Classifier
    private let landscape: LossLandscape
    private let weights: RestorableTensors

    init(_ classifier: any Classifier, _ landscape: LossLandscape) throws(TorchError) {
      (self.classifier, self.landscape) = (classifier, landscape)
      weights = RestorableTensors(try classifier.differentiableParameters())
    }

    /// The weights as they were, bit for bit.
    func putBack() { weights.putBack() }

    func value(at point: Int) throws(TorchError) -> Value {
      let position = landscape.position(of: point)
      weights.move(along: zip(landscape.directions, position).map { ($0.parts, $1) })
      let images: Tensor
      switch landscape.examples {
      case .fixed(let fixed): images = fixed
      case .reattacked(let clean, let maximizer, let seed):
        images = try maximizer.adversarialImages(
          classifier, clean, landscape.labels, batchSize: landscape.batchSize, generator: Generator(seed: seed))
      }
      return try withNoGrad { () throws(TorchError) in
        var (loss, correct) = (0.0, 0.0)
        for (x, y) in zip(images.split(size: landscape.batchSize), landscape.labels.split(size: landscape.batchSize)) {
          let logits = try classifier.logits(x)
          loss += logits.crossEntropy(y, reduction: .sum).item()
          correct += logits.argmax(dim: 1).equal(to: y).sum().item()
        }
        let count = Double(landscape.labels.count)
        guard loss.isFinite else {
          throw TorchError(
            .value, "the loss at \(position.map { "\($0)" }.joined(separator: ", ")) of the grid is \(loss), which is not finite; "
              + "check the weights and the images for values that are not finite, or choose a smaller radius")
        }
        return Value(loss: loss / count, accuracy: correct / count)
      }
    }
  }
}

/// Something that one thread at a time uses.
private struct Unshared<Value>: @unchecked Sendable {
  let value: Value

  init(_ value: Value) { self.value = value }
}
