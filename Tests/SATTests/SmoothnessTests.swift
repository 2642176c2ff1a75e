import Foundation
import SwiftTorch
import Testing

@testable import SAT

@Suite struct SmoothnessTests {
  private final class Quiet: TrainingObserver {
    func batchDone(epoch: Int, batch: Int, batches: Int, loss: Double) {}
    func validating(epoch: Int) {}
    func epochDone(_ metrics: EpochMetrics, isBest: Bool) {}
    func warn(_ message: String) {}
  }

  /// Trains a small network for three epochs and returns the run.
  private func train(_ folder: String, _ smoothness: Smoothness.Settings) throws -> Trainer {
    let generator = Generator(seed: 0)
    let data = folder + "/data.safetensors"
    try SafeTensors(
      tensors: [
        ("images", Tensor.rand([40, 1, 28, 28], generator: generator)), ("labels", Tensor.arange(0..<40).remainder(4)),
      ]
    ).write(to: data)
    var configuration = try Presets.configuration(named: "digits", method: "at")
    configuration.data = data
    configuration.model = Architecture(name: "lenet5", options: ["classes": "4"])
    configuration.epochs = 3
    configuration.batchSize = 16
    configuration.attack.steps = 2
    configuration.smoothness = smoothness
    let trainer = try Trainer(
      configuration, dataRoot: DataRoot(), folder: RunFolder("\(folder)/run-\(smoothness.every)"), resume: false)
    _ = try trainer.run(observer: Quiet())
    return trainer
  }

  @Test func theQuantitiesAreThoseOfTheWeightsAtTheExamples() throws {
    let scratch = try Scratch()
    let tracked = try train(scratch.path, .init(every: 2, samples: 12, probes: 4))
    #expect(tracked.history.map { $0.smoothness != nil } == [false, true, true], "every second epoch and the last")

    let last = try #require(tracked.history[2].smoothness)
    let tracker = try SmoothnessTracker(
      .init(every: 2, samples: 12, probes: 4), maximizer: tracked.configuration.maximizer, data: tracked.trainSet, device: .cpu,
      seed: 0)
    #expect(try tracker.measure(tracked.network) == last, "the same weights give the same numbers")
    // λ_max lies between the trace over the parameters and the sum of magnitudes, and the loss is adversarial.
    #expect(last.eigenvalue > 0 && last.gradientNorm > 0 && last.traceError > 0)
    let other = try SmoothnessTracker(
      .init(every: 2, samples: 12, probes: 4), maximizer: tracked.configuration.maximizer, data: tracked.trainSet, device: .cpu,
      seed: 1)
    #expect(try other.measure(tracked.network) != last, "another seed is another subset")

    let line = try String(contentsOfFile: tracked.folder.metricsPath, encoding: .utf8).split(separator: "\n")[2]
    let json = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    #expect((json["smoothness"] as? [String: Double])?.keys.sorted() == ["eigenvalue", "gradientNorm", "trace", "traceError"])

    let plain = try train(scratch.path, .init())
    #expect(plain.history.allSatisfy { $0.smoothness == nil })
    for (a, b) in zip(plain.network.module.stateDict, tracked.network.module.stateDict) {
      #expect(a.tensor.isEqual(to: b.tensor), "watching changes nothing")
    }
  }
}
