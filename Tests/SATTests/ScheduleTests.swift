import Testing

@testable import SAT

@Suite struct ScheduleTests {
  @Test func stepIsThePapers() {
    let thirds = Schedule.step(
      initial: 0, milestones: [.init(epoch: 30, value: 1.0 / 3), .init(epoch: 45, value: 2.0 / 3), .init(epoch: 60, value: 1)])
    let expected: [(Int, Double)] = [(0, 0), (29, 0), (30, 1.0 / 3), (44, 1.0 / 3), (45, 2.0 / 3), (59, 2.0 / 3), (60, 1), (99, 1)]
    for (epoch, value) in expected { #expect(thirds.value(at: epoch) == value) }
  }

  @Test func linearAddsBeforeTheEpochAndEndsExactly() {
    let linear = Schedule.linear(initial: 0, final: 1, start: 30, end: 70)
    #expect(linear.value(at: 29) == 0)
    #expect(linear.value(at: 30) == 1.0 / 40)
    #expect(linear.value(at: 49) == 0.5)
    #expect(linear.value(at: 69) == 1, "no drift from adding 1/40 forty times")
    #expect(linear.value(at: 200) == 1)
    let values = (0..<100).map(linear.value)
    #expect(values == values.sorted())
  }

  @Test(arguments: Presets.entries.map(\.name))
  func presetsSurviveTheirFile(name: String) throws {
    let preset = try Presets.configuration(named: name)
    let text = try ConfigurationFile.text(preset)
    var other = preset
    other.epochs += 5
    other.lambda = .constant(0.25)
    other.threat.epsilon = try Fraction("8/255")
    #expect(try ConfigurationFile.apply(yaml: text, to: other, source: "config") == preset)
    let changed = try ConfigurationFile.text(other)
    #expect(try ConfigurationFile.apply(yaml: changed, to: preset, source: "config") == other)
    #expect(changed.contains("8/255"), "epsilon is kept as typed")
  }

  @Test func settingsChangeOneValue() throws {
    let base = try Presets.configuration(named: "digits")
    func set(_ text: String) throws -> TrainingConfiguration { try ConfigurationFile.apply(setting: text, to: base) }
    #expect(try set("optimizer.learningRate=0.05").optimizer.learningRate == 0.05)
    #expect(try set("lambda.end=10").lambda == .linear(initial: 0, final: 1, start: 5, end: 10))
    #expect(try set("lambda={kind: constant, value: 0.5}").lambda == .constant(0.5))
    #expect(try set("threat.epsilon=8/255").threat.epsilon.value == 8.0 / 255)
    #expect(try set("model.options.classes=7").model.options == ["classes": "7"])
  }

  @Test(arguments: [
    ("optimizer.learningRat=0.05", "learningRat"), ("epochs=many", "epochs"), ("lambda={kind: cubic}", "cubic"),
    ("noequals", "key=value"), ("optimizer=3", "keys of its own"), ("epochs.deep=3", "one value"),
    ("lambda={kind: linear, initial: 0, final: 1, start: 9, end: 3}", "start < end"),
    ("averaging.kind=mean", "'averaging.kind' is 'mean'; expected one of none, ema, swa"),
    ("optimizer.name=adamw", "'optimizer.name' is 'adamw'; expected one of sgd, adam"),
    ("threat.norm=l3", "expected one of linf, l2, l1"),
  ])
  func wrongSettingsAreNamed(setting: String, word: String) throws {
    let base = try Presets.configuration(named: "digits")
    let error = #expect(throws: SATError.self) { try ConfigurationFile.apply(setting: setting, to: base) }
    #expect(error?.message.contains(word) == true, "\(error?.message ?? "")")
  }

  @Test(arguments: [
    ("epochs=0", "epochs"), ("threat.epsilon=0", "epsilon"), ("threat.epsilon=1.5", "epsilon"), ("attack.steps=0", "steps"),
    ("optimizer.momentum=1", "momentum"), ("method=magic", "magic"), ("batchSize=-3", "batchSize"),
    ("optimizer={name: adam, nesterov: true}", "nesterov"), ("lambda={kind: constant, value: .nan}", "lambda.value is nan"),
  ])
  func valuesOutsideTheirRangeAreNamed(setting: String, word: String) throws {
    let changed = try ConfigurationFile.apply(setting: setting, to: Presets.configuration(named: "digits"))
    let error = #expect(throws: SATError.self) { try changed.validated() }
    #expect(error?.message.contains(word) == true, "\(error?.message ?? "")")
  }

  @Test func fractionsAreKeptAsTyped() throws {
    #expect(try Fraction("8/255").value == 8.0 / 255)
    #expect(try Fraction("8/255").description == "8/255")
    #expect(try Fraction("0.0314").value == 0.0314)
    #expect(Fraction(0.3).description == "0.3")
    for wrong in ["", "a", "1/0", "1/2/3", "nan", "inf", "/3"] {
      #expect(throws: SATError.self) { try Fraction(wrong) }
    }
  }

  @Test func wilsonIntervalIsTheKnownOne() {
    // 95 % for 81 of 263 (Newcombe 1998, table I): 0.2553 to 0.3662; for 0 of 20: 0 to 0.1611.
    let a = wilsonInterval(81, of: 263)
    #expect(abs(a.lowerBound - 0.2553) < 5e-5 && abs(a.upperBound - 0.3662) < 5e-5)
    let b = wilsonInterval(0, of: 20)
    #expect(b.lowerBound == 0 && abs(b.upperBound - 0.1611) < 5e-5)
  }
}
