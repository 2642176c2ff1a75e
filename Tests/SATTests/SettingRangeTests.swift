import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// Tests every setting with harmful values: each one is either harmless or refused with an error. A trap ends the tests.
@Suite struct SettingRangeTests {
  static let values = [
    "-9223372036854775808", "9223372036854775807", "18446744073709551615", "-1", "0", "1000000", "1e308", "-1e308", "1e-320",
    ".nan", ".inf",
    "-.inf", "0.5", "8/0", "[]",
  ]

  /// The paths of all values of a configuration, as `--set` names them; a list counts as one value.
  static func keys(_ configuration: TrainingConfiguration) throws -> [String] {
    func walk(_ value: Any, _ path: String) -> [String] {
      guard let object = value as? [String: Any] else { return [path] }
      return object.isEmpty ? [path] : object.keys.sorted().flatMap { walk(object[$0]!, path.isEmpty ? $0 : "\(path).\($0)") }
    }
    return walk(try JSONSerialization.jsonObject(with: JSONEncoder().encode(configuration)), "")
  }

  /// Returns nil for a refused setting.
  private func taken(_ setting: String, _ base: TrainingConfiguration) -> TrainingConfiguration? {
    do { return try ConfigurationFile.apply(setting: setting, to: base).validated() } catch {
      #expect(!error.message.isEmpty && !error.message.contains("\n") && error.message.count < 600, "\(setting): \(error.message)")
      return nil
    }
  }

  /// Computes everything that depends only on a configuration.
  private func exercise(_ configuration: TrainingConfiguration, _ setting: String) throws {
    let text = try ConfigurationFile.text(configuration)
    #expect(
      try ConfigurationFile.apply(yaml: text, to: configuration, source: "").differences(from: configuration).isEmpty, "\(setting)")
    _ = try configuration.maximizer
    for epoch in [0, 1, configuration.epochs - 1, 1_000_000] {
      #expect(configuration.lambda.value(at: epoch).isFinite, "\(setting)")
      let rate = configuration.learningRateSchedule.schedule(epochs: configuration.epochs).rate(
        configuration.optimizer.learningRate, at: Double(epoch))
      #expect(Float(rate).isFinite, "\(setting): \(rate)")
    }
    let entry = try DefenseRegistry.entry(named: configuration.method)
    _ = entry.make(
      DefenseSettings(
        maximizer: try configuration.maximizer, lambda: configuration.lambda, options: configuration.methodOptions, trainingSize: 10
      ))
  }

  @Test func noSettingTraps() throws {
    var (settings, accepted) = (0, 0)
    func attempt(_ setting: String, _ base: TrainingConfiguration) throws {
      settings += 1
      guard let configuration = taken(setting, base) else { return }
      accepted += 1
      try exercise(configuration, setting)
    }
    var base = try Presets.configuration(named: "cifar10-prn20", method: "p-sat")
    base.lambda = .linear(initial: 0, final: 1, start: 0, end: 40)
    base.averaging.kind = .ema
    let keys = try Self.keys(base)
    #expect(
      keys.count > 45 && keys.contains("lambda.start") && keys.contains("augmentation.shear") && keys.contains("execution.threads"))
    for key in keys { for value in Self.values { try attempt("\(key)=\(value)", base) } }
    for value in Self.values {
      try attempt("lambda={kind: constant, value: \(value)}", base)
      try attempt("lambda={kind: step, initial: 0, milestones: [{epoch: 3, value: \(value)}]}", base)
      try attempt("lambda={kind: step, initial: 0, milestones: [{epoch: \(value), value: 1}]}", base)
      try attempt("lambda={kind: linear, initial: 0, final: 1, start: \(value), end: \(value)}", base)
      try attempt("learningRateSchedule={kind: multi-step, milestones: [1, \(value)], gamma: 0.1}", base)
      try attempt("normalization='\(value),0,0 1,1,1'", base)
      try attempt("normalization='0,0,0 \(value),1,1'", base)
      try attempt("model.options={classes: '\(value)'}", base)
    }
    for entry in DefenseRegistry.entries {
      let base = try Presets.configuration(named: "digits", method: entry.name)
      for option in entry.options { for value in Self.values { try attempt("methodOptions.\(option.name)=\(value)", base) } }
    }
    #expect(settings > 1000 && accepted > 100)
  }

  @Test(arguments: [
    ("lambda.start=-9223372036854775808", "lambda.start"), ("lambda.final=.nan", "lambda.final"),
    ("lambda.final=.inf", "lambda.final"),
    ("optimizer.weightDecay=.inf", "optimizer.weightDecay"), ("optimizer.weightDecay=.nan", "optimizer.weightDecay"),
    ("optimizer.learningRate=.inf", "optimizer.learningRate"), ("optimizer.learningRate=1e308", "optimizer.learningRate"),
    ("optimizer.maxGradientNorm=.nan", "optimizer.maxGradientNorm"),
    ("learningRateSchedule.gamma=.nan", "learningRateSchedule.gamma"),
    ("checkpoints.minutes=.inf", "checkpoints.minutes"), ("batchSize=9223372036854775807", "1 to 1000000"),
    ("epochs=9223372036854775807", "1 to 1000000"), ("smoothness.probes=9223372036854775807", "2 to 1000000"),
    ("attack.stepSize=1e300", "attack.stepSize"), ("execution.threads=20000", "0 to 1024"),
  ])
  func whatIsRefusedIsNamed(setting: String, words: String) throws {
    var base = try Presets.configuration(named: "cifar10-prn20", method: "p-sat")
    base.lambda = .linear(initial: 0, final: 1, start: 0, end: 40)
    let error = #expect(throws: SATError.self) { try ConfigurationFile.apply(setting: setting, to: base).validated() }
    #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
  }

  /// An accepted configuration trains, or ends with an error.
  @Test func theEndsOfTheRangesTrainOrSayWhyNot() throws {
    let scratch = try TrainingScratch(count: 20)
    var runs: [(method: String, setting: String)] = [
      "optimizer.learningRate=1e6", "optimizer.learningRate=1e-320", "optimizer.weightDecay=1e6",
      "optimizer.maxGradientNorm=1e-320",
      "attack.stepSize=1e6", "attack.stepSize=1e-320", "awp.gamma=0.999", "threat={norm: l2, epsilon: 1e6}",
      "normalization='1e6 1e-6'",
      "lambda={kind: constant, value: -1e6}",
      "augmentation={scaling: 0.999, shear: 89.99, rotation: 180, translation: 1, padding: 64}",
      "optimizer={name: adam, learningRate: 1e6, weightDecay: 1e6}", "averaging={kind: ema, decay: 1e-320}",
    ].map { ("p-sat", $0) }
    for entry in DefenseRegistry.entries {
      for option in entry.options {
        guard case .number(let range) = option.kind else { continue }
        for end in [range.lowerBound, range.upperBound] { runs.append((entry.name, "methodOptions.\(option.name)=\(end)")) }
      }
    }
    for entry in DefenseRegistry.entries where entry.usesLambda {
      for end in [entry.lambdaRange.lowerBound, entry.lambdaRange.upperBound] {
        runs.append((entry.name, "lambda={kind: constant, value: \(end)}"))
      }
    }
    for (number, (method, setting)) in runs.enumerated() {
      var base = try scratch.configuration(method: method)
      base.epochs = 1
      base.batchSize = 8
      base.attack.steps = 1
      let configuration = try ConfigurationFile.apply(setting: setting, to: base).validated()
      do {
        _ = try scratch.trainer(configuration, run: "\(number)").run(observer: Watch())
      } catch let error as SATError {
        #expect(!error.message.contains("\n"), "\(method) \(setting): \(error.message)")
      }
    }
  }
}
