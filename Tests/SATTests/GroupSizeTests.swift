import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// Tests of the group size that limits how much work a kill loses.
@Suite struct GroupSizeTests {
  @Test func blocksLastAsLongAsTheyMay() {
    let blocks = GroupSize(maximum: 100, limit: .seconds(60))
    #expect(blocks.samples(pace: nil) == 100)
    let sizes: [(Double, Int)] = [(0.1, 100), (0.6, 100), (0.7, 64), (1, 32), (7, 8), (40, 1), (1000, 1)]
    for (pace, size) in sizes { #expect(blocks.samples(pace: pace) == size, "\(pace) s a sample") }
  }

  /// Small groups gain nothing if they take as long as large ones.
  @Test func blocksThatMakePassesDearerAreNotCut() {
    var blocks = GroupSize(maximum: 128, limit: .seconds(60))
    blocks.observe(128, seconds: 240, passes: 128_000)
    #expect(blocks.samples(pace: 1.9) == 16)
    blocks.observe(32, seconds: 70, passes: 32_000)
    #expect(blocks.samples(pace: 2) == 16, "a fifth dearer")
    blocks.observe(16, seconds: 60, passes: 16_000)
    #expect(blocks.samples(pace: 2) == 32, "twice as dear")
    blocks.observe(32, seconds: 130, passes: 32_000)
    #expect(blocks.samples(pace: 3) == 64)
    blocks.observe(64, seconds: 240, passes: 64_000)
    #expect(blocks.samples(pace: 60) == 128)
  }

  /// Takes ten milliseconds a sample, and breaks those whose first pixel is bright.
  private final class Slow: Attack {
    let name = "slow"
    let threat: ThreatModel
    private(set) var cost = AttackCost()
    private(set) var batches: [Int] = []
    /// Throws before this many samples, as if the process ended there.
    var dies = Int.max
    init() throws { threat = try ThreatModel(epsilon: 0.1) }
    func perturb(_ model: any Classifier, _ batch: AttackBatch) throws(TorchError) -> AttackResult {
      if batches.reduce(0, +) >= dies { throw TorchError(.runtime, "killed") }
      batches.append(batch.count)
      Thread.sleep(forTimeInterval: 0.01 * Double(batch.count))
      cost += AttackCost(forward: 10 * batch.count, backward: 0)
      let bright = batch.images[.all, 0, 0, 0].greater(than: 0.5).array(of: Bool.self)
      return AttackResult(images: batch.images, findings: bright.map { $0 ? Finding(restart: 0, step: 0) : nil })
    }
  }

  @Test func aKillLosesNoMoreThanABlock() throws {
    let scratch = try Scratch()
    let images = Tensor.rand([60, 1, 2, 2], generator: Generator(seed: 4))
    let data = try ImageDataset(name: "d", split: "test", images: images, labels: Tensor([Int](repeating: 0, count: 60)))
    let model = FunctionClassifier { Tensor([[1, 0]] as [[Float]]).expanded(to: [$0.size(0), 2]) }
    func run(_ attack: Slow, state: String?) throws -> Evaluation {
      let store = try state.map {
        try EvaluationStore("\(scratch.path)/\($0)", identity: ["model": "m"], interval: .zero, groupTime: .milliseconds(85))
      }
      return try Evaluator(model: model, data: data, batchSize: 20, device: .cpu, layout: .contiguous)
        .run(EvaluationPlan([attack], checks: false), store: store)
    }
    let whole = try Slow()
    let expected = try run(whole, state: nil)
    #expect(whole.batches == [20, 20, 20], "without a state nothing is cut")
    let first = try Slow()
    first.dies = 40
    #expect(throws: TorchError.self) { try run(first, state: "s") }
    // Nobody knows the pace before the first block; a busy machine may make later ones smaller.
    #expect(first.batches.first == 20, "\(first.batches)")
    #expect(first.batches.dropFirst().max()! <= 16, "\(first.batches)")
    let second = try Slow()
    let resumed = try run(second, state: "s")
    let done = first.batches + second.batches
    #expect(done.reduce(0, +) == 60, "nothing is done twice")
    #expect(second.batches.max()! <= 16, "\(second.batches)")
    #expect(resumed.attacks[0].flags == expected.attacks[0].flags)
    #expect(resumed.robustCorrect > 10)
  }
}
