import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// Tests that batches made ahead on another thread equal batches made in order on this thread.
@Suite struct BatchLoaderTests {
  static func dataset(_ n: Int = 50, side: Int = 8) throws -> ImageDataset {
    let generator = Generator(seed: 1)
    let images = Tensor.randint(0..<256, [n, 3, side, side], generator: generator).to(.uint8)
    return try ImageDataset(name: "d", split: "train", images: images, labels: Tensor.randint(0..<10, [n], generator: generator))
  }

  static func batches(_ loader: BatchLoader) throws -> [BatchLoader.Batch] {
    var batches: [BatchLoader.Batch] = []
    while let batch = try loader.next() { batches.append(batch) }
    return batches
  }

  @Test(arguments: [1, 2, 7])
  func theThreadChangesNothing(depth: Int) throws {
    let data = try Self.dataset()
    let order = Tensor.randperm(50, generator: Generator(seed: 2)).array(of: Int.self)
    func load(_ depth: Int) throws -> (batches: [BatchLoader.Batch], state: Tensor) {
      let generator = Generator(seed: 3)
      let loader = BatchLoader(
        data, batchSize: 8, order: order, augmentation: .paper, generator: generator, layout: .channelsLast, depth: depth)
      #expect(loader.batchCount == 7)
      // The loader draws all its seeds at once, so a run can save its generator at any batch.
      let state = generator.state
      let batches = try Self.batches(loader)
      expectIdentical(generator.state, state)
      #expect(try loader.next() == nil)
      return (batches, state)
    }
    let (plain, threaded) = (try load(0), try load(depth))
    expectIdentical(plain.state, threaded.state)
    #expect(plain.batches.count == 7 && threaded.batches.count == 7)
    for (a, b) in zip(plain.batches, threaded.batches) {
      expectIdentical(a.images, b.images)
      expectIdentical(a.labels, b.labels)
      #expect(a.indices == b.indices && b.images.isContiguous(.channelsLast) && !b.images.requiresGrad)
    }
    #expect(threaded.batches.flatMap(\.indices) == order && threaded.batches.last?.indices.count == 2)
    for batch in threaded.batches { expectIdentical(batch.labels, data.labels.selecting(Tensor(batch.indices))) }
  }

  @Test func withoutAugmentationTheImagesAreTheDatasets() throws {
    let data = try Self.dataset()
    let batches = try Self.batches(BatchLoader(data, batchSize: 20, order: Array(0..<50), generator: Generator(seed: 0)))
    for (i, batch) in batches.enumerated() { expectIdentical(batch.images, try data.batch(i * 20..<min(50, i * 20 + 20)).images) }
  }

  @Test func aBatchDoesNotDependOnThoseBefore() throws {
    let data = try Self.dataset()
    let whole = try Self.batches(
      BatchLoader(data, batchSize: 10, order: Array(0..<50), augmentation: .crop, generator: Generator(seed: 4)))
    // Another first batch of the same size leaves the other batches unchanged.
    let order = Array(40..<50) + Array(10..<50)
    let other = try Self.batches(BatchLoader(data, batchSize: 10, order: order, augmentation: .crop, generator: Generator(seed: 4)))
    for i in 1..<5 { expectIdentical(whole[i].images, other[i].images) }
    #expect(!whole[0].images.isEqual(to: other[0].images))
  }

  /// A consumer that is slower than the loader waits only for the first batch.
  @Test func aSlowConsumerDoesNotWait() throws {
    let data = try Self.dataset(64, side: 32)
    let loader = BatchLoader(
      data, batchSize: 8, order: Array(0..<64), augmentation: .paper, generator: Generator(seed: 5), depth: 2)
    var waits: [Double] = []
    while try loader.next() != nil {
      waits.append(loader.secondsWaited)
      Thread.sleep(forTimeInterval: 0.05)
    }
    #expect(waits.count == 8)
    // The limit is generous for a busy machine: the loader has 50 ms for each of the 7 batches after the first.
    #expect(waits[7] - waits[0] < 0.2, "waited \(waits)")
    let late = BatchLoader(data, batchSize: 8, order: Array(0..<64), augmentation: .paper, generator: Generator(seed: 5), depth: 0)
    while try late.next() != nil {}
    #expect(late.secondsWaited > 0, "without a thread, the consumer waits for each batch")
  }

  @Test func aLoaderThatIsLeftEarlyEnds() throws {
    let data = try Self.dataset(64, side: 32)
    for taken in 0..<5 {
      var loader: BatchLoader? = BatchLoader(
        data, batchSize: 4, order: Array(0..<64), augmentation: .paper, generator: Generator(seed: 6), depth: 3)
      for _ in 0..<taken { #expect(try loader?.next() != nil) }
      loader = nil
    }
    #expect(try BatchLoader(data, batchSize: 4, order: [], generator: Generator(seed: 0)).next() == nil)
  }
}
