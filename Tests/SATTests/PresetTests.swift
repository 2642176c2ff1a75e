import Testing

@testable import SAT

/// The numbers of the paper's Appendix A and of its other sections.
@Suite struct PresetTests {
  struct Row: Sendable {
    var name: String
    var model: String
    var epsilon: Double
    var steps: Int
    var stepSize: Double
    var epochs: Int
    var learningRate: Double
    var weightDecay: Double
    var milestones: [Int]
    var lambda: [Int: Double]
    var datEpochs: Int
  }

  static let rows: [Row] = {
    func cifar(_ name: String, _ model: String, _ n: Double, rate: Double, decay: Double, _ rises: [Int], dat: Int) -> Row {
      Row(
        name: name, model: model, epsilon: n / 255, steps: 10, stepSize: n / 4 / 255, epochs: 100, learningRate: rate,
        weightDecay: decay,
        milestones: [40, 60, 80], lambda: [0: 0, rises[0] - 1: 0, rises[0]: 1.0 / 3, rises[1]: 2.0 / 3, rises[2]: 1, 99: 1],
        datEpochs: dat)
    }
    func mnist(_ name: String, _ epsilon: Double) -> Row {
      Row(
        name: name, model: "mnist-cnn", epsilon: epsilon, steps: 40, stepSize: 0.02, epochs: 70, learningRate: 0.01,
        weightDecay: 5e-4,
        milestones: [40, 50, 60], lambda: [0: 0, 29: 0, 30: 1.0 / 3, 45: 2.0 / 3, 60: 1], datEpochs: 30)
    }
    func imagenette(_ name: String, _ n: Double) -> Row {
      Row(
        name: name, model: "resnet34", epsilon: n / 255, steps: 10, stepSize: n / 4 / 255, epochs: 100, learningRate: 0.1,
        weightDecay: 5e-4, milestones: [40, 60, 80], lambda: [0: 0, 29: 0, 49: 0.5, 69: 1], datEpochs: 40)
    }
    return [
      mnist("mnist-0.3", 0.3), mnist("mnist-0.45", 0.45),
      cifar("cifar10-prn20", "prn20", 8, rate: 0.05, decay: 5e-4, [40, 60, 80], dat: 80),
      cifar("cifar10-prn20-16", "prn20", 16, rate: 0.05, decay: 5e-4, [40, 60, 80], dat: 50),
      cifar("cifar10-prn20-24", "prn20", 24, rate: 0.05, decay: 5e-4, [40, 60, 80], dat: 50),
      cifar("cifar10-wrn34-10", "wrn34-10", 8, rate: 0.1, decay: 5e-4, [30, 40, 50], dat: 80),
      cifar("cifar100-prn20", "prn20", 8, rate: 0.05, decay: 2e-4, [40, 60, 80], dat: 80),
      cifar("cifar100-wrn34-10", "wrn34-10", 8, rate: 0.1, decay: 2e-4, [30, 40, 50], dat: 80),
      imagenette("imagenette-rn34-16", 16), imagenette("imagenette-rn34-24", 24),
    ]
  }()

  @Test func allAreHere() {
    #expect(Set(Presets.entries.map(\.name)) == Set(Self.rows.map(\.name) + ["digits"]))
  }

  @Test(arguments: rows)
  func valuesAreThePapers(row: Row) throws {
    let preset = try Presets.configuration(named: row.name)
    #expect(preset.preset == row.name && preset.method == "p-sat" && preset.model.name == row.model)
    #expect(preset.threat.norm == .linf && preset.threat.epsilon.value == row.epsilon)
    #expect(preset.attack.steps == row.steps && preset.attack.stepSize.value == row.stepSize && preset.attack.randomStart)
    #expect(preset.epochs == row.epochs && preset.batchSize == 128)
    #expect(preset.optimizer.learningRate == row.learningRate && preset.optimizer.weightDecay == row.weightDecay)
    #expect(preset.optimizer.name == .sgd && preset.optimizer.momentum == 0.9)
    #expect(preset.learningRateSchedule.milestones == row.milestones && preset.learningRateSchedule.gamma == 0.1)
    for (epoch, value) in row.lambda { #expect(abs(preset.lambda.value(at: epoch) - value) < 1e-12, "lambda in epoch \(epoch)") }
    // The number of classes fits the data.
    let classes = try preset.model.resolvedOptions()["classes"]
    #expect(classes == (row.name.hasPrefix("cifar100") ? 100 : 10))
  }

  @Test(arguments: rows)
  func methodsGetTheirOwnSchedules(row: Row) throws {
    let dat = try Presets.configuration(named: row.name, method: "dat").lambda
    #expect(dat.value(at: 0) == -0.5)
    #expect(abs(dat.value(at: row.datEpochs / 2) + 0.25) < 1e-12, "c_max(1 − t/T)")
    #expect(dat.value(at: row.datEpochs - 1) < 0 && dat.value(at: row.datEpochs) == 0)
    let hsat = try Presets.configuration(named: row.name, method: "h-sat").lambda
    if row.model == "mnist-cnn" {
      #expect(hsat.value(at: 30) == 1.0 / 3)
    } else {
      #expect(hsat.value(at: 0) > 0.8 && hsat.value(at: 0) < 0.81 && hsat.value(at: 29) == 1)
    }
    let trades = try Presets.configuration(named: row.name, method: "trades")
    #expect(trades.methodOptions.values["beta"] == .number(6))
    #expect(trades.epochs == row.epochs)
  }

  @Test func fastATTrainsAsItsPaperDoes() throws {
    let cifar = try Presets.configuration(named: "cifar10-prn20", method: "fast-at")
    #expect(cifar.epochs == 15 && cifar.optimizer.learningRate == 0.2)
    let rate = cifar.learningRateSchedule.schedule(epochs: cifar.epochs)
    #expect(rate.rate(0.2, at: 0) == 0 && rate.rate(0.2, at: 15) == 0)
    // The rate rises and falls in straight lines (Wong et al. 2020).
    let peak = cifar.learningRateSchedule.peak * 15
    #expect(abs(rate.rate(0.2, at: peak) - 0.2) < 1e-12 && abs(rate.rate(0.2, at: peak / 2) - 0.1) < 1e-12)
    #expect(abs(rate.rate(0.2, at: (peak + 15) / 2) - 0.1) < 1e-12)
    let (digits, plain) = (
      try Presets.configuration(named: "digits", method: "fast-at"), try Presets.configuration(named: "digits")
    )
    #expect(digits.learningRateSchedule.kind == .cyclic && digits.epochs == plain.epochs)
  }

  /// The script of CAT20's authors: 80 epochs in four stages, crop and flip, radii that grow by 0.0025 up to 0.035, attacks in
  /// steps of 0.007.
  @Test func cat20TrainsAsItsScriptDoes() throws {
    for preset in ["cifar10-prn20", "cifar100-wrn34-10"] {
      let cat20 = try Presets.configuration(named: preset, method: "cat20")
      #expect(cat20.epochs == 80 && cat20.batchSize == 128 && cat20.augmentation == .crop)
      #expect(cat20.optimizer.learningRate == 0.1 && cat20.optimizer.weightDecay == 5e-4 && cat20.optimizer.momentum == 0.9)
      #expect(cat20.learningRateSchedule == LearningRateSettings(kind: .multiStep, milestones: [20, 40, 60]))
      #expect(cat20.attack.steps == 10 && cat20.attack.stepSize.value == 0.007)
      let epsilon = cat20.threat.epsilon.value
      #expect(abs(cat20.methodOptions.number("eta") * epsilon - 0.0025) < 1e-12)
      #expect(abs(cat20.methodOptions.number("cap") * epsilon - 0.035) < 1e-12)
    }
    // In a ball of twice the size all lengths double; MNIST and digits keep the preset's lengths.
    #expect(try Presets.configuration(named: "cifar10-prn20-16", method: "cat20").attack.stepSize.value == 0.014)
    let (digits, plain) = (try Presets.configuration(named: "digits", method: "cat20"), try Presets.configuration(named: "digits"))
    #expect(digits.attack == plain.attack && digits.epochs == plain.epochs && digits.augmentation == .none)
  }

  @Test func freeATDividesTheEpochs() throws {
    let (free, at) = (
      try Presets.configuration(named: "cifar10-prn20", method: "free-at"), try Presets.configuration(named: "cifar10-prn20")
    )
    // Each batch gives eight updates (Shafahi et al. 2019).
    #expect(free.epochs == 13 && at.epochs == 100 && free.learningRateSchedule.milestones == [5, 8, 10])
  }
}
