import SwiftTorch
import Testing

/// The learning rates' part of training.json.
private struct Schedules: Decodable, Sendable {
  struct Run: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let schedule: String
    let options: [String: Option]
    let rates: [Double]

    var testDescription: String { name }

    /// Makes the schedule, and the number of epochs for which PyTorch's schedule is the same function.
    func make(base: Double) throws -> (schedule: LearningRateSchedule, epochs: Int) {
      switch schedule {
      case "StepLR": return (.step(try options.int("step_size"), gamma: try options.double("gamma")), rates.count)
      case "MultiStepLR":
        let milestones = try #require(options.list("milestones")).map { Int($0) }
        return (.multiStep(milestones, gamma: try options.double("gamma")), rates.count)
      case "ExponentialLR": return (.exponential(try options.double("gamma")), rates.count)
      case "CosineAnnealingLR":
        // PyTorch's schedule rises again after T_max, and this one stays down.
        let length = try options.int("T_max")
        return (.cosine(length, minimum: try options.double("eta_min") / base), min(rates.count, length + 1))
      case "LinearLR":
        let (start, end) = (try options.double("start_factor"), try options.double("end_factor"))
        return (.linear(from: start, to: end, epochs: try options.double("total_iters")), rates.count)
      case "OneCycleLR":
        let (total, peak) = (try options.double("total_steps"), try options.double("max_lr") / base)
        let initial = peak / (try options.double("div_factor"))
        return (
          .piecewiseLinear([
            (0, initial), (try options.double("pct_start") * total - 1, peak),
            (total - 1, initial / (try options.double("final_div_factor"))),
          ]), rates.count
        )
      case "CyclicLR":
        let (low, high) = (try options.double("base_lr") / base, try options.double("max_lr") / base)
        let (up, down) = (try options.double("step_size_up"), try options.double("step_size_down"))
        return (.piecewiseLinear([(0, low), (up, high), (up + down, low)]), rates.count)
      default: throw TorchError(.notImplemented, "training.json has the schedule \(schedule), which this test does not know")
      }
    }
  }

  let baseRate: Double
  let schedules: [Run]

  static func load() throws -> Schedules { try Fixtures.description("training") }
}

@Suite struct ScheduleTests {
  // This library has no one-cycle schedule with cosine flanks.
  @Test(arguments: try Schedules.load().schedules.filter { $0.name != "one-cycle-cosine" })
  fileprivate func ratesAgreeWithPyTorch(_ run: Schedules.Run) throws {
    let base = try Schedules.load().baseRate
    let (schedule, epochs) = try run.make(base: base)
    #expect(epochs > 10)
    for epoch in 0..<epochs {
      let (actual, expected) = (schedule.rate(base, at: Double(epoch)), run.rates[epoch])
      #expect(abs(actual - expected) <= 1e-12 + 1e-9 * expected, "epoch \(epoch): \(actual), expected \(expected)")
    }
  }

  @Test func stepsHoldInsideAnEpochAndLinesDoNot() {
    #expect(LearningRateSchedule.multiStep([2]).rate(1, at: 1.99) == 1)
    #expect(abs(LearningRateSchedule.multiStep([2]).rate(1, at: 2) - 0.1) < 1e-15)
    #expect(LearningRateSchedule.step(2, gamma: 0.5).rate(1, at: 3.9) == 0.5)
    #expect(LearningRateSchedule.exponential(0.5).rate(1, at: 1.9) == 0.5)
    #expect(LearningRateSchedule.linear(from: 0, to: 1, epochs: 4).rate(2, at: 1.5) == 0.75)
    #expect(abs(LearningRateSchedule.cosine(10).rate(1, at: 2.5) - (1 + 0.5.squareRoot()) / 2) < 1e-12)
    let triangle = LearningRateSchedule.piecewiseLinear([(1, 0), (3, 1), (5, 0)])
    #expect([0, 1, 2, 3, 4.5, 5, 9].map { triangle.rate(4, at: $0) } == [0, 0, 2, 4, 1, 0, 0])
    #expect(LearningRateSchedule.cosine(10, minimum: 0.1).rate(1, at: 50) == 0.1)
    #expect(LearningRateSchedule.constant.rate(0.3, at: 7) == 0.3)
  }
}
