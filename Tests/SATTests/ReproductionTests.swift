import Foundation
import SwiftTorch
import Testing

@testable import SAT

@Suite struct ReproductionTests {
  @Test func thePapersSumsAreSums() throws {
    let tables = PaperFigures.all.filter { $0.item.hasPrefix("table") }
    #expect(tables.count == 3 * 56)
    for figure in tables where figure.quantity == "clean" {
      let adversarial = try #require(PaperFigures.value(figure.item, figure.setting, figure.method, "adversarial"))
      let sum = try #require(PaperFigures.value(figure.item, figure.setting, figure.method, "sum"))
      #expect(abs(figure.value + adversarial - sum) < 0.0051, "\(figure)")
    }
    // The abstract: on CIFAR-100 P-SAT gains 6.14 and 1.00 on AT.
    func gain(_ quantity: String) throws -> Double {
      let (p, a) = (
        PaperFigures.value("table-1", "cifar100-prn20", "p-sat", quantity),
        PaperFigures.value("table-1", "cifar100-prn20", "at", quantity)
      )
      return try #require(p) - (try #require(a))
    }
    let (clean, adversarial) = (try gain("clean"), try gain("adversarial"))
    #expect(abs(clean - 6.14) < 1e-9 && abs(adversarial - 1) < 1e-9)
  }

  @Test func aTornLineIsNoEpochDone() throws {
    let scratch = try Scratch()
    let plan = try ReproductionPlan(
      .named("table-2").restricted(settings: ["mnist-0.3"], methods: ["at"]), scale: ReproductionScale(.smoke), root: scratch.path,
      seed: 0,
      execution: Execution())
    let run = try #require(plan.runs.first)
    #expect(run.epochsDone == 0)
    try FileManager.default.createDirectory(atPath: run.folder.path, withIntermediateDirectories: true)
    try (WrittenRun.epoch(0) + WrittenRun.epoch(1).prefix(30)).write(
      toFile: run.folder.metricsPath, atomically: true, encoding: .utf8)
    #expect(run.epochsDone == 1)
  }

  @Test func everyTableHasTheRowsOfItsItem() throws {
    for name in ["table-1", "table-2", "table-3"] {
      let item = try ReproductionItem.named(name)
      let rows = Set(PaperFigures.all.filter { $0.item == name }.map { "\($0.setting) \($0.method)" })
      #expect(rows == Set(item.settings.flatMap { setting in item.methods.map { "\(setting) \($0)" } }))
    }
  }

  @Test func ourSchedulesAreThePapers() throws {
    var compared = 0
    for figure in PaperFigures.all where figure.item == "fig-5" {
      guard Presets.entries.contains(where: { $0.name == figure.setting }),
        DefenseRegistry.entries.contains(where: { $0.name == figure.method }),
        let epoch = Int(figure.quantity.split(separator: " ").last ?? "")
      else { continue }
      let ours = try Presets.configuration(named: figure.setting, method: figure.method).lambda.value(at: epoch)
      // Linear schedules begin one increment up, as in the paper's code.
      #expect(abs(ours - figure.value) < (figure.method == "h-sat" ? 0.007 : 1e-4), "\(figure): \(ours)")
      compared += 1
    }
    #expect(compared >= 6)
  }

  @Test func thePapersScaleIsThePapersSetting() throws {
    let item = try ReproductionItem.named("table-2").restricted(settings: nil, methods: ["at", "p-sat"])
    let plan = try ReproductionPlan(item, scale: ReproductionScale(.paper), root: "r", seed: 0, execution: Execution())
    #expect(
      plan.runs.map(\.configuration)
        == (try [("mnist-0.3", "at"), ("mnist-0.3", "p-sat"), ("mnist-0.45", "at"), ("mnist-0.45", "p-sat")].map {
          try Presets.configuration(named: $0.0, method: $0.1)
        }))
    #expect(plan.changes.allSatisfy { $0.changes.isEmpty })
    #expect(plan.runs.allSatisfy { $0.limits.testImages == nil && $0.limits.pgdSteps == nil })
    #expect(Set(plan.runs.map(\.folder.path)).count == 4)
  }

  @Test func aFolderIsKnownAgainByItsConfiguration() throws {
    let scratch = try Scratch()
    let path = scratch.file("config.yaml")
    for item in ReproductionItem.all {
      for scale in ReproductionScale.Name.allCases {
        for run in try ReproductionPlan(item, scale: ReproductionScale(scale), root: "r", seed: 0, execution: Execution()).runs {
          try ConfigurationFile.text(run.configuration).write(toFile: path, atomically: true, encoding: .utf8)
          let read = try ConfigurationFile.read(path)
          #expect(read == run.configuration, "\(run.folder.path)")
        }
      }
    }
  }

  @Test func anotherRadiusIsSaidAndKeptApart() throws {
    func plan(_ epsilon: Fraction?, seed: UInt64 = 0) throws -> ReproductionPlan {
      let item = try ReproductionItem.named("fig-4").restricted(settings: ["mnist-0.3"], methods: ["at"])
      return try ReproductionPlan(
        item, scale: ReproductionScale(.small), root: "r", seed: seed, epsilon: epsilon, execution: Execution())
    }
    let (own, other) = (try plan(nil), try plan(0.1))
    #expect(other.changes[0].changes == ["epsilon 0.1 instead of 0.3, steps in proportion"] + other.changes[0].changes.dropFirst())
    #expect(other.runs[0].configuration.threat.epsilon == 0.1)
    let (step, ownStep) = (other.runs[0].configuration.attack.stepSize.value, own.runs[0].configuration.attack.stepSize.value)
    #expect(abs(step - ownStep / 3) < 1e-12)
    #expect(other.folder == "r/fig-4-small-epsilon0.1" && own.folder == "r/fig-4-small")
    let folders = try [own, other, plan(Fraction("8/255")), plan(0.1, seed: 1)].map { $0.runs[0].folder.path }
    #expect(Set(folders).count == 4 && folders.allSatisfy { $0.split(separator: "/").count == 3 })
    #expect(try plan(0.3).changes[0].changes == own.changes[0].changes, "the same radius is no change")
  }

  @Test func fewerEpochsKeepTheSchedulesProportions() throws {
    var configuration = try Presets.configuration(named: "mnist-0.3")
    let whole = configuration
    configuration.compress(to: 70)
    #expect(configuration == whole)
    configuration.compress(to: 14)
    #expect(configuration.epochs == 14)
    #expect(configuration.learningRateSchedule.milestones == [8, 10, 12])
    #expect(
      configuration.lambda
        == .step(
          initial: 0, milestones: [.init(epoch: 6, value: 1.0 / 3), .init(epoch: 9, value: 2.0 / 3), .init(epoch: 12, value: 1)]))
    configuration.compress(to: 1)
    #expect(configuration.lambda == .step(initial: 0, milestones: [.init(epoch: 0, value: 1.0 / 3), .init(epoch: 1, value: 1)]))
    #expect(throws: Never.self) { try configuration.validated() }
    configuration.epochs = 100
    configuration.lambda = .linear(initial: 0, final: 1, start: 30, end: 70)
    configuration.compress(to: 10)
    #expect(configuration.lambda == .linear(initial: 0, final: 1, start: 3, end: 7))
    configuration.compress(to: 1)
    #expect(configuration.lambda == .linear(initial: 0, final: 1, start: 0, end: 1), "start stays before end")
  }

  @Test func aScaleSaysWhatItChanges() throws {
    let paper = try Presets.configuration(named: "mnist-0.3")
    let (configuration, changes) = ReproductionScale(.small).apply(to: paper, for: .accuracy)
    #expect(configuration.data == "digits" && configuration.attack.steps == 10)
    // As far in all as forty steps of 0.02.
    #expect(abs(configuration.attack.stepSize.value * 10 - 0.8) < 1e-12)
    #expect(changes.count == 4 && changes.contains { $0.contains("14 epochs instead of 70") })
    var third = paper
    third.attack.stepSize = Fraction(0.02 / 3)
    #expect(
      ReproductionScale(.small).apply(to: third, for: .accuracy).changes.contains(
        "10 training steps of 0.02667 instead of 40 of 0.006667"))
    #expect(
      ReproductionScale(.small).apply(to: paper, for: .perturbation).changes.count == 3, "no word on test images nobody looks at")
    let smoke = ReproductionScale(.smoke).apply(to: paper, for: .accuracy)
    #expect(smoke.changes.contains("PGD of 10 steps instead of AutoAttack"))
    #expect(smoke.configuration.attack.stepSize.value <= 0.3)
  }

  @Test func theSumsIntervalIsThatOfItsSamples() throws {
    let figures = ReproductionResult.Figure.accuracies(
      item: "table-2", setting: "mnist-0.3", method: "p-sat", clean: 160, adversarial: 90, samples: 200)
    #expect(figures.map(\.quantity) == ["clean", "adversarial", "sum"])
    #expect(figures.map(\.value) == [80, 45, 125])
    #expect(figures.map(\.paper) == [99.16, 92.00, 191.16])
    let wilson = wilsonInterval(160, of: 200)
    #expect(figures[0].low == 100 * wilson.lowerBound && figures[0].high == 100 * wilson.upperBound)
    // The sum's interval is not a point even if all samples agree, and it never leaves the sum of the two intervals.
    for (clean, adversarial) in [(0, 0), (50, 0), (50, 50), (15, 15), (49, 1)] {
      let found = ReproductionResult.Figure.accuracies(
        item: "table-2", setting: "mnist-0.3", method: "p-sat", clean: clean, adversarial: adversarial, samples: 50)
      #expect(found[2].low! >= found[0].low! + found[1].low! - 1e-9 && found[2].high! <= found[0].high! + found[1].high! + 1e-9)
      #expect(found[2].high! - found[2].low! > 5)
    }
  }

  /// The interval holds the true value in about 95 of 100 repeated draws.
  @Test(arguments: [(0.8, 0.45, 200), (0.97, 0.9, 100), (0.5, 0.05, 60)])
  func theSumsIntervalCoversTheTruth(clean: Double, adversarial: Double, samples: Int) {
    let draws = Tensor.rand([1000, samples], generator: Generator(seed: 0), dtype: .float64)
    func counts(_ probability: Double) -> [Int] { draws.less(than: probability).sum(dim: 1).array(of: Int.self) }
    let held = zip(counts(clean), counts(adversarial)).count { cleanCount, adversarialCount in
      let sum = ReproductionResult.Figure.accuracies(
        item: "table-2", setting: "mnist-0.3", method: "p-sat", clean: cleanCount, adversarial: adversarialCount, samples: samples)[
          2]
      return (sum.low!...sum.high!).contains(100 * (clean + adversarial))
    }
    #expect((925...985).contains(held), "\(held) of 1000")
  }

  @Test func equalValuesShareARank() {
    let figures = ReproductionResult.Figure.ranked(
      item: "fig-4", setting: "cifar10-prn20", quantity: "trace", [("at", 3, 0.5), ("h-sat", 1, nil), ("p-sat", 1, nil)])
    #expect(figures.filter { $0.quantity == "rank of trace" }.map(\.value) == [3, 1, 1])
    #expect(figures.filter { $0.quantity == "rank of trace" }.map(\.paper) == [3, 2, 1])
    let widths = figures.filter { $0.quantity == "trace" }.map { figure in figure.high.map { $0 - figure.low! } }
    #expect(abs(widths[0]! - 1.96) < 1e-3 && widths[1] == nil)
  }

  @Test func aPartOfTheDataIsSpreadOverIt() throws {
    let labels = Tensor((0..<100).map { $0 / 10 })
    let data = try ImageDataset(name: "d", split: "train", images: .zeros(100, 1, 2, 2), labels: labels)
    func positions(_ count: Int?, _ classes: Int) -> [Int] {
      Reproducer.positions(count, of: data, classes: classes).array(of: Int.self)
    }
    #expect(positions(10, 10) == [0, 10, 20, 30, 40, 50, 60, 70, 80, 90])
    #expect(positions(4, 2) == [0, 5, 10, 15])
    #expect(positions(nil, .max) == Array(0..<100))
    #expect(positions(500, 3) == Array(0..<30))
  }

  @Test func unknownNamesAreRefused() throws {
    #expect(
      throws: SATError(
        "'table-9' is not an item of the paper; expected one of \(ReproductionItem.all.map(\.name).joined(separator: ", ")); did "
          + "you mean 'table-1'?"
      )
    ) {
      try ReproductionItem.named("table-9")
    }
    #expect(throws: SATError.self) { try ReproductionItem.named("table-2").restricted(settings: ["mnist"], methods: nil) }
    #expect(throws: SATError.self) { try ReproductionItem.named("table-2").restricted(settings: nil, methods: ["p-sat", "fat"]) }
  }
}
