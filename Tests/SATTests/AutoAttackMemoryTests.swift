import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// The measurements and models of the memory tests, which run in processes of their own.
private enum MemoryProbe {
  /// A field of /proc/self/status in bytes.
  static func status(_ field: String) throws -> Int {
    let lines = try String(contentsOfFile: "/proc/self/status", encoding: .utf8).split(separator: "\n")
    let line = try #require(lines.first { $0.hasPrefix("\(field):") })
    return try #require(Int(line.split(whereSeparator: \.isWhitespace)[1])) << 10
  }

  /// How far resident memory rises while `body` runs.
  static func rise(_ body: () throws -> Void) throws -> Int {
    // 5 sets the high-water mark to what is resident now.
    try "5".write(toFile: "/proc/self/clear_refs", atomically: false, encoding: .utf8)
    let before = try status("VmRSS")
    try body()
    return try status("VmHWM") - before
  }

  /// A linear classifier whose weights take 60 MiB, of which ten outputs are logits.
  final class Heavy: Classifier {
    let layer = Linear(784, 20_000, generator: Generator(seed: 1))
    var execution = Execution()
    func logits(_ images: Tensor) throws(TorchError) -> Tensor { layer(images.flattened(from: 1))[.all, ..<10] }
    func move(to device: Device) throws(TorchError) {}
  }

  static func batch(_ model: any Classifier, count: Int) throws -> AttackBatch {
    let images = GoldenNumbers.images([count, 1, 28, 28])
    let logits = try model.logits(images).detached()
    return AttackBatch(images: images, labels: logits.argmax(dim: 1), samples: Array(0..<count), logits: logits)
  }

  /// Every attack by gradients, too weak to break anything.
  static func attacks(_ mode: AttackMode, iterations: Int) throws -> [any Attack] {
    let threat = try ThreatModel(epsilon: 1e-6)
    return [
      APGD(threat: threat, loss: .crossEntropy, iterations: iterations, mode: mode, seed: 0),
      APGD(threat: threat, loss: .dlr, targets: 2, iterations: iterations, mode: mode, seed: 0),
      FAB(threat: threat, iterations: iterations, mode: mode, seed: 0),
      FAB(threat: threat, targets: 2, iterations: iterations, mode: mode, seed: 0),
      PGD(InnerMaximizer(threat: threat, steps: iterations, stepSize: 1e-6), seed: 0), PGD.fgsm(threat: threat),
    ]
  }
}

/// Tests of the memory that attacks use and free. Each counts in its own process, because tests share one process otherwise.
@Suite struct AutoAttackMemoryTests {
  @Test func noGradientOfAWeightIsEverAllocated() async {
    await #expect(processExitsWith: .success) {
      try Torch.setThreadCount(1)
      let model = MemoryProbe.Heavy()
      let batch = try MemoryProbe.batch(model, count: 2)
      let size = model.layer.weight.value.count * 4
      func perturb(_ iterations: Int) throws {
        for mode in AttackMode.allCases {
          for attack in try MemoryProbe.attacks(mode, iterations: iterations) { _ = try attack.perturb(model, batch) }
        }
      }
      try perturb(1)
      #expect(try MemoryProbe.rise { try perturb(2) } < size / 4)
      #expect(model.layer.parameters.allSatisfy { $0.value.grad == nil })
      // The measurement sees a gradient that is really made.
      #expect(try MemoryProbe.rise { try model.logits(batch.images).sum().backward() } > size / 2)
    }
  }

  @Test func memoryIsFlatOverTheBatchesOfAnEnsemble() async {
    await #expect(processExitsWith: .success) {
      try Torch.setThreadCount(1)
      let network = try NetworkClassifier.golden("cnn-a", ["channels": "1"])
      let images = GoldenNumbers.images([24] + (try network.architecture.inputShape()))
      let labels = try network.logits(images).detached().argmax(dim: 1)
      let data = try ImageDataset(name: "golden", split: "test", images: images, labels: labels)
      let threat = try ThreatModel(epsilon: 0.02)
      for mode in AttackMode.allCases {
        func evaluate() throws {
          let attacks: [any Attack] = [
            APGD(threat: threat, loss: .crossEntropy, iterations: 3, mode: mode, seed: 0),
            APGD(threat: threat, loss: .dlr, targets: 3, iterations: 3, mode: mode, seed: 0),
            FAB(threat: threat, targets: 3, iterations: 3, mode: mode, seed: 0),
            Square(threat: threat, mode: mode, seed: 0, queries: 10),
          ]
          let evaluator = Evaluator(model: network, data: data, batchSize: 5, device: .cpu, layout: .contiguous)
          let plan = EvaluationPlan(attacks, mode: mode)
          _ =
            mode == .fast
            ? try network.withPreparedWeights(inputShape: data.imageShape) { try evaluator.run(plan) } : try evaluator.run(plan)
        }
        for _ in 0..<3 { try evaluate() }
        let (handles, resident) = (Torch.liveHandleCount, try MemoryProbe.status("VmRSS"))
        for _ in 0..<10 { try evaluate() }
        #expect(Torch.liveHandleCount == handles, "\(mode)")
        #expect(try MemoryProbe.status("VmRSS") - resident < 2 << 20, "\(mode)")
      }
    }
  }
}
