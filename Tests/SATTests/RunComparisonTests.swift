import Foundation
import SwiftTorch
import Testing

@testable import SAT

@Suite struct RunComparisonTests {
  /// The trainer beside PyTorch: `models/reference_run.py` trained the same network from the same seeds (`make_reference_runs.py`).
  @Test(arguments: ["at", "p-sat"])
  func stepsFollowPyTorch(method: String) throws {
    let scratch = try TrainingScratch()
    let folder = Fixtures.path("reference")
    var configuration = try ConfigurationFile.apply(
      fileAt: "\(folder)/config.yaml", to: Presets.configuration(named: "digits", method: "at"))
    configuration = try configuration.adapted(to: method)
    configuration.data = "\(folder)/digits.safetensors"
    if method == "p-sat" { configuration.lambda = .constant(0) }
    configuration.epochs = 3
    configuration.logSteps = true
    configuration.execution.threads = 1
    #expect(try scratch.trainer(configuration).run(observer: Watch()) == .finished)
    let reference = "\(scratch.path)/reference"
    try FileManager.default.createDirectory(atPath: reference, withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: "\(folder)/\(method).steps.jsonl", toPath: "\(reference)/steps.jsonl")

    // PyTorch's result of the same run with sums in another order.
    let rounding = try Fixtures.description("reference/rounding", as: [String: [String: Double]].self)
    let floor = try #require(rounding[method])
    let comparison = try RunComparison(run: "\(scratch.path)/run", reference: reference, tolerance: 3 * floor["gradientNorm"]!)
    let steps = try #require(comparison.steps)
    #expect(steps.compared == 12)
    #expect(steps.firstDifference == nil, "\(String(describing: steps.firstDifference))")
    #expect(steps.largestLossDifference < 3 * floor["loss"]!, "\(steps.largestLossDifference)")
    // Before anything was updated only the order of sums differs.
    let first = try #require(try scratch.lines("steps.jsonl").first?["loss"] as? Double)
    let theirs = try #require(try scratch.lines("steps.jsonl", run: "reference").first?["loss"] as? Double)
    #expect(abs(first - theirs) < 2e-6)
    print(
      "\(method): 12 steps beside PyTorch, largest difference of the loss \(steps.largestLossDifference); PyTorch beside itself "
        + "\(floor["loss"]!)"
    )
  }

  /// A run with each extra, and the weights that it keeps, equal PyTorch's. Only `swa` computes BatchNorm's statistics again.
  @Test(arguments: ["cyclic", "clipped", "ema", "swa"])
  func variantsFollowPyTorch(name: String) throws {
    let scratch = try TrainingScratch()
    let folder = Fixtures.path("reference")
    var configuration = try ConfigurationFile.apply(
      fileAt: "\(folder)/config.yaml", to: Presets.configuration(named: "digits", method: "at"))
    configuration = try configuration.adapted(to: "at")
    configuration = try ConfigurationFile.apply(fileAt: "\(folder)/\(name).yaml", to: configuration)
    configuration.data = "\(folder)/digits.safetensors"
    if configuration.model.name != "mnist-cnn" {
      let digits = try Fixtures.tensors("reference/digits")
      let padded = try digits["images"].padded([2, 2, 2, 2])
      configuration.data = "\(scratch.path)/coloured.safetensors"
      try SafeTensors(tensors: [("images", Tensor.concatenated([padded, padded, padded], dim: 1)), ("labels", digits["labels"])])
        .write(to: configuration.data)
    }
    configuration.logSteps = true
    configuration.execution.threads = 1
    #expect(try scratch.trainer(configuration).run(observer: Watch()) == .finished)
    let reference = "\(scratch.path)/reference"
    try FileManager.default.createDirectory(atPath: reference, withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: "\(folder)/\(name).steps.jsonl", toPath: "\(reference)/steps.jsonl")

    let floor = try #require(try Fixtures.description("reference/rounding", as: [String: [String: Double]].self)[name])
    let comparison = try RunComparison(run: "\(scratch.path)/run", reference: reference, tolerance: 3 * floor["gradientNorm"]!)
    let steps = try #require(comparison.steps)
    #expect(steps.compared == 10 && steps.firstDifference == nil, "\(String(describing: steps.firstDifference))")
    #expect(steps.largestLossDifference < 3 * floor["loss"]! + 1e-5)
    let known = try #require(try Fixtures.description("reference/weights", as: [String: [String: [Double]]].self)[name])
    let kept = try scratch.weights()
    #expect(known.keys.sorted() == kept.keys.sorted())
    for (key, values) in known {
      let found = try #require(kept[key]).flattened()
      let expected = Tensor(values).to(found.dtype)
      expectClose(found[0..<expected.count], expected, absolute: 3 * floor["weights"]! + 1e-6, relative: 0, "\(name) \(key)")
    }
  }

  private func write(_ scratch: TrainingScratch, _ run: String, _ name: String, _ lines: [String]) throws {
    let folder = "\(scratch.path)/\(run)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try lines.map { $0 + "\n" }.joined().write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8)
  }

  private func epoch(_ number: Int, _ loss: Double, _ validation: String? = nil) -> String {
    let measured = validation.map { #","validation":\#($0)"# } ?? ""
    return
      #"{"epoch":\#(number),"learningRate":0.1,"train":{"loss":\#(loss),"accuracy":0.5},"perturbation":{"mean":0.1,"max":0.2},"#
      + #""gradientNorm":1,"seconds":2,"samplesPerSecond":9,"time":0\#(measured)}"#
  }

  @Test func theFirstDifferenceIsFound() throws {
    let scratch = try TrainingScratch()
    func step(_ number: Int, _ loss: Double, _ norm: Double) -> String {
      #"{"step":\#(number),"epoch":0,"loss":\#(loss),"gradientNorm":\#(norm)}"#
    }
    try write(scratch, "a", "steps.jsonl", [step(0, 2, 10), step(1, 0.5, 10), step(2, 0.5, 10.2), step(3, 1, 1)])
    try write(scratch, "b", "steps.jsonl", [step(0, 2.0015, 10.005), step(1, 0.5005, 10), step(2, 0.5, 10)])
    func compare(_ tolerance: Double) throws -> RunComparison.Steps {
      try #require(
        try RunComparison(run: "\(scratch.path)/a", reference: "\(scratch.path)/b", tolerance: tolerance).steps)
    }
    // 0.0015 of 2.0015 and 0.0005 of 1 are within 0.001; 0.2 of 10 is not.
    let found = try #require(try compare(1e-3).firstDifference)
    #expect(found.at == 2 && found.quantity == "gradientNorm" && found.run == 10.2 && found.reference == 10)
    #expect(try compare(0.03).firstDifference == nil)
    #expect(try compare(1e-4).firstDifference?.at == 0)
    #expect(try compare(0).compared == 3)
    #expect(try abs(compare(1).largestGradientNormDifference - 0.02) < 1e-9)
    let text = try RunComparisonTable(RunComparison(run: "\(scratch.path)/a", reference: "\(scratch.path)/b", tolerance: 1e-3))
      .description
    #expect(text.contains("first difference at step 2: gradientNorm 10.200000, reference 10.000000"), "\(text)")
  }

  /// Wilson's intervals of 90 and 80 of 100 are 82.6 – 94.5 and 71.1 – 86.7 %: neither holds the other, as those of 90 and 86 do.
  @Test func finalFiguresAgreeWithinTheirIntervals() throws {
    let scratch = try TrainingScratch()
    try write(
      scratch, "a", "metrics.jsonl",
      [
        epoch(0, 2, #"{"clean":0.5,"robust":0.1,"samples":100}"#), epoch(1, 1, #"{"clean":0.9,"robust":0.9,"samples":100}"#),
        epoch(2, 0.5),
      ])
    try write(
      scratch, "b", "metrics.jsonl",
      [
        epoch(0, 2), epoch(1, 1.01, #"{"clean":0.86,"robust":0.8,"samples":100}"#),
        epoch(2, 0.5, #"{"clean":1,"robust":1,"samples":100}"#),
      ])
    let comparison = try RunComparison(run: "\(scratch.path)/a", reference: "\(scratch.path)/b", tolerance: 1e-3)
    let final = try #require(comparison.final)
    #expect(final.epoch == 1 && final.clean.agrees && !final.robust.agrees)
    #expect(comparison.firstDifferingEpoch?.at == 1 && comparison.steps == nil)
    #expect(comparison.epochs.map { $0.clean?.run } == [nil, 0.9, nil])
    #expect(RunComparisonTable(comparison).description.contains("--log-steps"))
  }

  /// Two runs whose figures agree, of one configuration or not.
  @Test func otherConfigurationsAreWarnedOf() throws {
    let scratch = try TrainingScratch()
    for name in ["a", "b"] {
      try write(scratch, name, "metrics.jsonl", [epoch(0, 2, #"{"clean":0.5,"robust":0.1,"samples":100}"#)])
    }
    func compare(_ change: (inout TrainingConfiguration) -> Void) throws -> RunComparison {
      var configuration = try Presets.configuration(named: "digits", method: "at")
      try write(scratch, "b", "config.yaml", [ConfigurationFile.text(configuration)])
      change(&configuration)
      try write(scratch, "a", "config.yaml", [ConfigurationFile.text(configuration)])
      return try RunComparison(run: "\(scratch.path)/a", reference: "\(scratch.path)/b", tolerance: 1e-3)
    }
    #expect(try compare { _ in }.warning == nil)
    let elsewhere = try compare {
      ($0.execution.threads, $0.execution.memoryFormat, $0.logSteps, $0.validation.every) = (7, .contiguous, true, 2)
    }
    #expect(elsewhere.warning == nil && elsewhere.configurationDifferences.isEmpty)
    let changes: [(String, (inout TrainingConfiguration) -> Void)] = [
      ("preset", { $0.preset = "mnist-0.3" }), ("method", { $0.method = "trades" }),
      ("threat.epsilon", { $0.threat.epsilon = 0.1 }),
      ("seed", { $0.seed = 1 }), ("epochs", { $0.epochs = 3 }),
      ("execution.attackPrecision", { $0.execution.attackPrecision = .bf16 }),
    ]
    for (key, change) in changes {
      let found = try compare(change)
      #expect(found.configurationDifferences.count == 1 && found.configurationDifferences[0].hasPrefix("\(key) was "))
      #expect(found.warning?.contains("one setting differs") == true && found.final?.clean.agrees == true)
      let last = RunComparisonTable(found).description.split(separator: "\n").last
      #expect(last?.hasPrefix("warning: the runs have different configurations") == true)
    }
    try FileManager.default.removeItem(atPath: "\(scratch.path)/b/config.yaml")
    let bare = try RunComparison(run: "\(scratch.path)/a", reference: "\(scratch.path)/b", tolerance: 1e-3)
    #expect(bare.warning?.contains("b has no config.yaml") == true)
  }

  @Test func whatIsNoRunIsNamed() throws {
    let scratch = try TrainingScratch()
    try write(scratch, "a", "metrics.jsonl", [epoch(0, 1)])
    try write(scratch, "b", "metrics.jsonl", [epoch(0, 1), #"{"epoch":1,"tr"#])
    try write(scratch, "c", "metrics.jsonl", [epoch(0, .nan).replacing("nan", with: "NaN")])
    for (run, words) in [("nowhere", "neither metrics.jsonl"), ("b", "metrics.jsonl, line 2"), ("c", "metrics.jsonl, line 1")] {
      let error = #expect(throws: SATError.self) {
        try RunComparison(run: "\(scratch.path)/a", reference: "\(scratch.path)/\(run)", tolerance: 0)
      }
      #expect(error?.message.contains(words) == true && error?.message.contains(run) == true, "\(error?.message ?? "")")
    }
  }
}
