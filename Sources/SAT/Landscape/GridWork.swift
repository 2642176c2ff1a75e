internal import Foundation
internal import SwiftTorch
internal import Synchronization

/// A network that moves from point to point of a landscape's grid; only one thread at a time uses it.
final class GridMover: @unchecked Sendable {
  private let classifier: any Classifier
  private let landscape: LossLandscape
  private let weights: RestorableTensors

  init(_ classifier: any Classifier, _ landscape: LossLandscape) throws(TorchError) {
    self.classifier = classifier
    self.landscape = landscape
    weights = RestorableTensors(try classifier.differentiableParameters())
  }

  /// Restores the weights bit for bit.
  func restore() { weights.restore() }

  /// Measures a point; `part` receives the finished fraction of its work, 0…1.
  func value(at point: Int, part: (Double) -> Void) throws(TorchError) -> LossLandscape.Value {
    let position = landscape.position(of: point)
    weights.move(along: zip(landscape.directions, position).map { ($0.parts, $1) })
    let images =
      switch landscape.examples {
      case .fixed(let fixed): fixed
      case .reattacked(let clean, let maximizer, let seed):
        try maximizer.adversarialImages(
          classifier, clean, landscape.labels, batchSize: landscape.batchSize, generator: Generator(seed: seed), progress: part)
      }
    return try withNoGrad { () throws(TorchError) in
      var (loss, correct) = (0.0, 0.0)
      for (x, y) in zip(images.split(size: landscape.batchSize), landscape.labels.split(size: landscape.batchSize)) {
        let logits = try classifier.logits(x)
        loss += logits.crossEntropy(y, reduction: .sum).item()
        correct += logits.classifies(y).sum().item()
      }
      let count = Double(landscape.labels.count)
      guard loss.isFinite else {
        throw TorchError(
          .value,
          "the loss at \(position.map { "\($0)" }.joined(separator: ", ")) of the grid is \(loss), which is not finite; "
            + "check the weights and the images for NaN and infinity, or choose a smaller radius")
      }
      return LossLandscape.Value(loss: loss / count, accuracy: correct / count)
    }
  }
}

/// The points of a grid, shared by several threads with one network each.
final class GridWork: Sendable {
  private struct Results {
    var values: [(point: Int, value: LossLandscape.Value)] = []
    var error: (any Error)?
    var running: Int
    /// The finished fraction of each network's current point.
    var parts: [Double]
  }

  private let points: [Int]
  /// The index of the next point.
  private let next = Atomic<Int>(0)
  private let results: Mutex<Results>
  private let arrived = DispatchSemaphore(value: 0)

  /// Starts a thread for each network.
  init(_ points: [Int], _ movers: [GridMover]) {
    self.points = points
    results = Mutex(Results(running: movers.count, parts: Array(repeating: 0, count: movers.count)))
    for (index, mover) in movers.enumerated() { Thread.detachNewThread { self.run(mover, index) } }
  }

  private func run(_ mover: GridMover, _ worker: Int) {
    try? Torch.setThreadCount(1)
    while true {
      let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
      if index >= points.count { break }
      do {
        let value = try mover.value(at: points[index]) { fraction in
          results.withLock { $0.parts[worker] = fraction }
          arrived.signal()
        }
        results.withLock {
          $0.values.append((points[index], value))
          $0.parts[worker] = 0
        }
      } catch { results.withLock { $0.error = error } }
      arrived.signal()
    }
    results.withLock { $0.running -= 1 }
    arrived.signal()
  }

  /// Passes every value to `found`, one call at a time, until all threads have ended; `shouldStop` may end the work after a value.
  /// `progress` receives the finished fractions of the unfinished points, added up.
  ///
  /// - Throws: the first error of a network or of `found`, once the threads have ended.
  func collect(
    _ found: (Int, LossLandscape.Value) throws -> Void, progress: (Double) -> Void, _ shouldStop: () -> Bool
  ) throws {
    var failure: (any Error)?
    while true {
      arrived.wait()
      let news = results.withLock { state in
        defer { state.values = [] }
        return state
      }
      failure = failure ?? news.error
      if failure == nil { do { for (point, value) in news.values { try found(point, value) } } catch { failure = error } }
      if failure == nil { progress(news.parts.reduce(0, +)) }
      // This leaves no point for the threads, so they end.
      if failure != nil || shouldStop() { next.store(points.count, ordering: .relaxed) }
      if news.running == 0 { break }
    }
    if let failure { throw failure }
  }
}
