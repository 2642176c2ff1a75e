internal import Foundation
public import SwiftTorch

/// A loader that prepares the batches of a data set ahead of their use, augmented and scaled, on its own thread.
///
/// The contents of a batch depend only on the arguments, never on timing. Each batch has its own generator; the loader draws the
/// seeds of these generators from the given generator at its creation.
///
///     let loader = BatchLoader(data, batchSize: 128, order: order, augmentation: .crop, generator: generator)
///     while let batch = try loader.next() { … }
public final class BatchLoader {
  /// A batch of a loader, ready for the network.
  public struct Batch {
    /// [N, C, H, W], float32 in [0, 1], on the CPU, in the memory format of the loader.
    public var images: Tensor
    /// [N], int64, on the CPU.
    public var labels: Tensor
    /// The positions of the samples in the data set.
    public var indices: [Int]
  }

  /// The number of batches in the order.
  public let batchCount: Int
  /// The seconds that `next()` has waited for batches.
  public private(set) var secondsWaited = 0.0
  private let queue: BatchQueue

  /// Starts to load the samples at the positions `order`; the last batch may be smaller than the others.
  ///
  /// The loader draws one seed per batch from the CPU generator now and does not use it later. A resumed epoch skips its first
  /// `done` batches; the others stay the same. At most `depth` batches are ready; with 0 the caller's thread makes each one.
  public init(
    _ dataset: ImageDataset, batchSize: Int, order: [Int], augmentation: Augmentation = .none, generator: Generator,
    layout: MemoryFormat = .contiguous, after done: Int = 0, depth: Int = 2
  ) {
    precondition(batchSize >= 1, "BatchLoader: a batch size of \(batchSize); expected at least 1")
    precondition(
      order.allSatisfy { (0..<dataset.count).contains($0) }, "BatchLoader: the order reaches past \(dataset.count) samples")
    let pieces = order.indices.chunks(of: batchSize).map { Array(order[$0]) }
    let seeds = pieces.map { _ in generator.next() }
    let plans = zip(pieces, seeds).dropFirst(done).map { BatchPlan(indices: $0, seed: $1) }
    batchCount = pieces.count
    queue = BatchQueue(plans, depth: depth) { plan throws(TorchError) in
      try withNoGrad { () throws(TorchError) in
        let images = try dataset.augmented(at: plan.indices, augmentation, generator: Generator(seed: plan.seed))
        let labels = dataset.labels.selecting(Tensor(plan.indices))
        return Batch(images: images.contiguous(layout), labels: labels, indices: plan.indices)
      }
    }
  }

  deinit { queue.stop() }

  /// Returns the next batch; nil after the last.
  ///
  /// - Throws: `TorchError` when a picture's file cannot be read; then there are no more batches.
  public func next() throws(TorchError) -> Batch? {
    let clock = ContinuousClock()
    let start = clock.now
    defer { secondsWaited += (clock.now - start) / .seconds(1) }
    return try queue.take()
  }

  /// The samples of a batch and the seed of its draws.
  private struct BatchPlan {
    var indices: [Int]
    var seed: UInt64
  }

  /// A queue between the thread that makes batches and the thread that takes them.
  ///
  /// The tensors do not endanger Sendable. Both threads only read the data set. A batch has one owner at a time: the maker hands it
  /// to the taker under the lock. libtorch counts references atomically.
  private final class BatchQueue: @unchecked Sendable {
    private let plans: [BatchPlan]
    private let depth: Int
    private let make: (BatchPlan) throws(TorchError) -> Batch
    private let condition = NSCondition()
    // Access the properties below only under the condition's lock.
    private var ready: [Result<Batch, TorchError>] = []
    private var taken = 0
    private var isStopped = false
    private var isRunning = false

    /// Starts the thread unless `depth` is 0.
    init(_ plans: [BatchPlan], depth: Int, make: @escaping (BatchPlan) throws(TorchError) -> Batch) {
      self.plans = plans
      self.depth = depth
      self.make = make
      guard depth > 0 else { return }
      isRunning = true
      let thread = Thread { self.run() }
      thread.name = "batch-loader"
      thread.stackSize = 8 << 20
      thread.start()
    }

    private func run() {
      for plan in plans {
        condition.withLock { while ready.count >= depth && !isStopped { condition.wait() } }
        if condition.withLock({ isStopped }) { break }
        let result: Result<Batch, TorchError>
        do throws(TorchError) { result = .success(try make(plan)) } catch { result = .failure(error) }
        condition.withLock {
          ready.append(result)
          condition.broadcast()
        }
        if case .failure = result { break }
      }
      condition.withLock {
        isRunning = false
        condition.broadcast()
      }
    }

    func take() throws(TorchError) -> Batch? {
      guard taken < plans.count else { return nil }
      if depth == 0 {
        taken += 1
        return try make(plans[taken - 1])
      }
      let result = condition.withLock { () -> Result<Batch, TorchError>? in
        while ready.isEmpty && isRunning { condition.wait() }
        guard !ready.isEmpty else { return nil }
        taken += 1
        condition.broadcast()
        return ready.removeFirst()
      }
      return try result?.get()
    }

    /// Stops the thread and waits for it, so that it does not compute while the process ends.
    func stop() {
      condition.withLock {
        isStopped = true
        condition.broadcast()
        while isRunning { condition.wait() }
      }
    }
  }
}
