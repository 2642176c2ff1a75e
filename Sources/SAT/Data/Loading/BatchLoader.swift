internal import Foundation
public import SwiftTorch

/// Batches of a data set in a given order, augmented and scaled, made ready ahead of their use on a thread of its own.
///
/// What a batch holds depends on the arguments alone, never on timing: each batch has a generator of its own, whose seed is drawn
/// from the given one when the loader is made.
///
///     let loader = BatchLoader(data, batchSize: 128, order: order, augmentation: .crop, generator: generator)
///     while let batch = try loader.next() { … }
public final class BatchLoader {
  public struct Batch {
    /// [N, C, H, W], float32 in [0, 1], on the CPU, in the memory format asked for.
    public var images: Tensor
    /// [N], int64, on the CPU.
    public var labels: Tensor
    /// Where its samples stand in the data set.
    public var indices: [Int]
  }

  /// How many batches the order makes.
  public let batchCount: Int
  /// Seconds that `next()` has waited for a batch that was not ready.
  public private(set) var secondsWaited = 0.0
  private let queue: BatchQueue

  /// Begins to load.
  ///
  /// - Parameters:
  ///   - batchSize: the last batch is smaller where it does not divide the order.
  ///   - order: positions in the data set.
  ///   - generator: a CPU generator, which gives one seed a batch now and is not used later.
  ///   - layout: of the images.
  ///   - done: how many batches at the front are not wanted, of an epoch that goes on after them; the others are what they would be.
  ///   - depth: how many batches may be ready at a time; 0 makes each when it is asked for, on the caller's thread.
  public init(
    _ dataset: ImageDataset, batchSize: Int, order: [Int], augmentation: Augmentation = .none, generator: Generator,
    layout: MemoryFormat = .contiguous, after done: Int = 0, depth: Int = 2
  ) {
    precondition(batchSize >= 1, "BatchLoader: a batch size of \(batchSize); expected at least 1")
    precondition(order.allSatisfy { (0..<dataset.count).contains($0) }, "BatchLoader: the order reaches past \(dataset.count) samples")
    let pieces = order.indices.chunks(of: batchSize).map { Array(order[$0]) }
    let seeds = pieces.map { _ in generator.next() }
    let plans = zip(pieces, seeds).dropFirst(done).map { BatchPlan(indices: $0, seed: $1) }
    batchCount = pieces.count
    queue = BatchQueue(BatchMaker(dataset: dataset, augmentation: augmentation, layout: layout), plans, depth: depth)
    if depth > 0 { queue.start() }
  }

  deinit { queue.stop() }

  /// The next batch; nil after the last.
  ///
  /// - Throws: a sentence when a file of a picture cannot be read; there are no batches after that.
  public func next() throws(TorchError) -> Batch? {
    let clock = ContinuousClock()
    let start = clock.now
    defer { secondsWaited += (clock.now - start) / .seconds(1) }
    return try queue.take()
  }

  /// Which samples a batch has and where its draws start.
  private struct BatchPlan {
    var indices: [Int]
    var seed: UInt64
  }

  /// Makes batches.
  private struct BatchMaker {
    let dataset: ImageDataset
    let augmentation: Augmentation
    let layout: MemoryFormat

    func make(_ plan: BatchPlan) throws(TorchError) -> Batch {
      try withNoGrad { () throws(TorchError) in
        let generator = Generator(seed: plan.seed)
        let images = try dataset.augmented(at: plan.indices, augmentation, generator: generator)
        let labels = dataset.labels.selecting(Tensor(plan.indices))
        return Batch(images: images.contiguous(layout), labels: labels, indices: plan.indices)
      }
    }
  }

  /// What stands between the thread that makes batches and the one that takes them.
  ///
  /// Sendable in spite of the tensors: the data set's are only read, by both sides; a batch has one owner at a time, first the maker,
  /// then, through the lock, the taker. libtorch counts references atomically.
  private final class BatchQueue: @unchecked Sendable {
    private let maker: BatchMaker
    private let plans: [BatchPlan]
    private let depth: Int
    private let condition = NSCondition()
    // All below only under the condition's lock.
    private var ready: [Result<Batch, TorchError>] = []
    private var taken = 0
    private var isStopped = false
    private var isRunning = false

    init(_ maker: BatchMaker, _ plans: [BatchPlan], depth: Int) {
      self.maker = maker
      self.plans = plans
      self.depth = depth
    }

    func start() {
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
        do throws(TorchError) { result = .success(try maker.make(plan)) } catch { result = .failure(error) }
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
        return try maker.make(plans[taken - 1])
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

    /// Ends the thread and waits for it, so that nothing computes when the process ends.
    func stop() {
      condition.withLock {
        isStopped = true
        condition.broadcast()
        while isRunning { condition.wait() }
      }
    }
  }
}
