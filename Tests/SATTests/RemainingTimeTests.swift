import SwiftTorch
import Testing

@testable import SAT

/// Estimates of the time left, on synthetic timings.
@Suite struct RemainingTimeTests {
  /// Checks that the estimate is within a factor of two from a tenth of the time on, for work whose step takes `seconds(step)`.
  private func check(steps: Int, seconds: (Int) -> Double) throws {
    let total = (0..<steps).reduce(0) { $0 + seconds($1) }
    var (estimate, now) = (RemainingTime(), 0.0)
    estimate.record(0, at: 0)
    #expect(estimate.left == nil)
    for step in 0..<steps - 1 {
      now += seconds(step)
      estimate.record(Double(step + 1) / Double(steps), at: now)
      guard now >= total / 10 else { continue }
      let left = try #require(estimate.left)
      #expect(left <= 2 * (total - now) && left >= (total - now) / 2, "\(left) instead of \(total - now) after \(now)")
    }
  }

  @Test func constantStepsAreExact() throws {
    var estimate = RemainingTime()
    for step in 0...30 { estimate.record(Double(step) / 100, at: 3 * Double(step)) }
    #expect(abs(try #require(estimate.left) - 210) < 1e-9)
    try check(steps: 200) { _ in 0.5 }
  }

  @Test func aSlowFirstStepIsForgotten() throws { try check(steps: 200) { $0 == 0 ? 5 : 1 } }

  /// Half of the samples leave during the attack.
  @Test func decayingActiveSamples() throws { try check(steps: 1000) { 1 - 0.5 * Double($0) / 1000 } }

  /// A continued measurement starts at the fraction that was kept.
  @Test func workThatGoesOn() throws {
    var estimate = RemainingTime()
    for step in 0...10 { estimate.record(0.5 + Double(step) / 100, at: Double(step)) }
    #expect(abs(try #require(estimate.left) - 40) < 1e-9)
  }

  /// Every step breaks one of 60 samples, and broken samples cost no more passes.
  @Test func brokenSamplesLeaveTheWork() throws {
    let network = try network(lenet: 10)
    var (fractions, open) = ([Double](), 60)
    let metered = MeteredClassifier(
      network, samples: open, passesPerSample: 120, countsConfirmations: false, shouldStop: { false }
    ) { fractions.append($0) }
    var work: [Double] = []
    for step in 0..<120 where open > 0 {
      _ = try metered.logits(.zeros(open, 1, 28, 28))
      work.append(Double(open))
      if step % 2 == 1 {
        metered.broke(1)
        open -= 1
      }
    }
    #expect(zip(fractions, fractions.dropFirst()).allSatisfy { $0 <= $1 })
    let (total, tenth) = (work.reduce(0, +), work.count / 10)
    let done = work[...tenth].reduce(0, +)
    #expect(fractions[tenth] >= done / total / 2 && fractions[tenth] <= 2 * done / total)
  }

  private func network(lenet classes: Int) throws -> NetworkClassifier {
    let architecture = Architecture(name: "lenet5", options: ["classes": "\(classes)"])
    return NetworkClassifier(
      try architecture.make(generator: Generator(seed: 1)), architecture: architecture, normalization: nil)
  }

  /// Runs a training of 20 epochs with a batch time that grows with lambda, and checks the estimates after a tenth of the time.
  private func checkTraining(_ lambda: Schedule, steps: Int, pause: Double, active: (Double) -> Double) throws {
    let (epochs, batches) = (20, 30)
    func seconds(_ epoch: Int) -> Double { 1.5 + active(lambda.value(at: epoch)) }
    let total = (0..<epochs).reduce(0) { $0 + seconds($1) * Double(batches) + pause }
    var (pace, now) = (TrainingPace(epochs: epochs, lambda: lambda, steps: steps), 0.0)
    for epoch in 0..<epochs {
      for batch in 0..<batches {
        now += seconds(epoch)
        pace.batchDone(epoch: epoch, batch: batch, of: batches, active: active(lambda.value(at: epoch)), at: now)
        guard now >= total / 10 else { continue }
        let (left, real) = (try #require(pace.left), total - now)
        #expect(left <= 2 * real && left >= real / 2, "\(left) instead of \(real) in epoch \(epoch)")
      }
      now += pause
    }
  }

  @Test func trainingWithoutACurriculum() throws {
    try checkTraining(.constant(1), steps: 10, pause: 20) { _ in 10 }
  }

  @Test func trainingThatGetsHarder() throws {
    let lambda = Schedule.linear(initial: 0.1, final: 1, start: 2, end: 14)
    try checkTraining(lambda, steps: 20, pause: 0) { 20 * $0 }
    try checkTraining(.step(initial: 0.2, milestones: [.init(epoch: 10, value: 1)]), steps: 10, pause: 10) { 10 * $0 }
  }
}
