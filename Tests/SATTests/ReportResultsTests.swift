import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// The top of a page, the marks in its curves, and its commands.
@Suite struct ReportResultsTests {
  private static func results(_ run: WrittenRun) throws -> (rows: [String: String], notes: String) {
    let section = try #require(try Report(of: [run.path]).sections.first { $0.id == "results" })
    let rows = section.tables.flatMap { $0.rows.dropFirst() }.map { ($0[0], $0[1]) }
    return (Dictionary(uniqueKeysWithValues: rows), section.notes.joined(separator: "\n"))
  }

  /// An evaluation of ten samples.
  private static func evaluation(_ attacks: [(name: String, robust: Int)], version: AutoAttack.Version? = nil) throws -> String {
    func flags(_ correct: Int) -> [Int] { (0..<10).map { $0 < correct ? 1 : 0 } }
    var document = try JSONDecoder().decode(EvaluationDocument.self, from: Data(WrittenDocument.evaluation.utf8))
    document.data.samples = 10
    document.clean = .init(9, of: 10)
    document.attacks = attacks.map { .init(name: $0.name, robust: $0.robust, seconds: 1, forward: 1, backward: 1) }
    document.robust = .init(attacks.last!.robust, of: 10)
    document.version = version
    document.perClass = [.init(class: 0, samples: 10, clean: 9, robust: attacks.last!.robust)]
    document.flags = ["clean": flags(9), "robust": flags(attacks.last!.robust)]
    for attack in attacks { document.flags[attack.name] = flags(attack.robust) }
    return try document.json()
  }

  @Test func theStrongestEvaluationIsAtTheTop() throws {
    let run = try WrittenRun(metrics: WrittenRun.epoch(0))
    var (rows, notes) = try Self.results(run)
    #expect(rows["attack"]?.hasPrefix("PGD of training") == true && rows["images"] == "40 validation images")
    #expect(rows["robust accuracy"]?.hasPrefix("25.00 %\n") == true && notes.contains("Nobody has evaluated this run"))
    try run.add("evaluation-pgd.json", try Self.evaluation([("pgd", 3)]))
    (rows, notes) = try Self.results(run)
    #expect(rows["attack"] == "PGD" && rows["robust accuracy"]?.hasPrefix("30.00 %\n") == true && rows["radius"] == "0.1 in L-inf")
    #expect(notes.contains("No evaluation ran AutoAttack") && notes.contains("points wide") && !notes.contains("Nobody"))
    let ensemble = AutoAttack.ensemble(.standard).map { ($0.name, 4) }
    try run.add("evaluation-aa.json", try Self.evaluation(ensemble, version: .standard))
    (rows, notes) = try Self.results(run)
    #expect(rows["attack"] == "AutoAttack, version standard" && rows["robust accuracy"]?.hasPrefix("40.00 %\n") == true)
    #expect(!notes.contains("AutoAttack"))
    try run.add("evaluation-aa.json", try Self.evaluation(Array(ensemble.prefix(2)), version: .standard))
    #expect(try Self.results(run).rows["attack"] == "PGD", "a part of AutoAttack is not AutoAttack")
  }

  @Test func savedImagesCountAsAnEvaluation() throws {
    let run = try WrittenRun(metrics: WrittenRun.epoch(0))
    func save(_ answers: Tensor?) throws {
      let images = Tensor.full([3, 1, 2, 2], 0.5)
      var tensors = [("images", images), ("originals", images), ("labels", Tensor([0, 1, 1]))]
      if let answers { tensors += [("answers", answers), ("confidence", .full([3, 2], 0.5))] }
      try SafeTensors(tensors: tensors, metadata: ["sat.evaluation": WrittenDocument.evaluation]).write(
        to: "\(run.path)/adversarial.safetensors")
    }
    try save(nil)
    let report = try Report(of: [run.path])
    #expect(try Self.results(run).rows["attack"] == "PGD" && report.chartNames.contains("waterfall"))
    #expect(!report.omissions.contains { ["Robustness", "Adversarial images"].contains($0.what) })
    #expect(!report.sections.contains { $0.id == "images" }, "the attack changed no image")
    try save(Tensor([0, 0, 1, 1, 1, 0], shape: [3, 2]))
    let confusion = try #require(try Report(of: [run.path]).charts.first { $0.id == "confusion" })
    #expect(confusion.series[0].z == [[1, 0], [0.5, 0.5]])
    try save(Tensor([0, 1, 1]))
    #expect(try Report(of: [run.path]).unreadable.first?.reason.contains("it has answers") == true)
    try save(Tensor([0, -1, 1, 1, 1, 0], shape: [3, 2]))
    #expect(try !Report(of: [run.path]).chartNames.contains("confusion"), "no class has a negative number")
  }

  @Test func warningsAreInPlainWords() throws {
    let preset = try Presets.configuration(named: "digits")
    let settings = try ConfigurationFile.text(ConfigurationFile.apply(setting: "epochs=4", to: preset))
    let guessing = WrittenRun.epoch(0, loss: "NaN").replacing("\"clean\":0.75", with: "\"clean\":0.1")
    let run = try WrittenRun("smoke/mnist-0.3-at", configuration: settings, metrics: guessing)
    let notes = try Self.results(run).notes
    for words in [
      "Smoke scale: the numbers mean nothing", "stopped after epoch 1 of 4", "not a number in epoch 1", "λ ended at 0.25 of 1",
      "no better than guessing among 10 classes",
    ] { #expect(notes.contains(words), "\(words): \(notes)") }
    #expect(try ReportPage.html(Report(of: [run.path])).contains("<code>sat train --run"))
    let damaged = try WrittenRun("mnist-0.3-at", metrics: WrittenRun.epoch(0))
    try damaged.add("hessian.json", "{\"format\": ")
    let other = try Self.results(damaged).notes
    #expect(other.contains("hessian.json is not whole JSON") && !other.contains("Smoke"))
  }

  @Test func curvesMarkTheBestEpochAndThePhases() throws {
    func marks(_ values: [Double]) throws -> [String] {
      let epochs = values.enumerated().map { i, lambda in
        WrittenRun.epoch(i, robust: i == 1 ? "0.5" : "0.25").replacing("\"lambda\":0.25", with: "\"lambda\":\(lambda)")
      }
      let run = try WrittenRun(metrics: epochs.joined())
      let charts = try withExtendedLifetime(run) { try Report(of: [run.path]).charts }
      let marked = charts.filter { $0.x.title == "epoch" }
      #expect(marked.count > 5 && marked.allSatisfy { $0.marks == marked[0].marks })
      return marked[0].marks.map { "\(Int($0.x)) \($0.text)" }
    }
    #expect(try marks([0, 0, 0.25, 0.5, 1, 1]) == ["2 best", "3 λ rises", "5 λ 1"])
    #expect(try marks([0, 0, 0.5, 0.5, 1]) == ["2 best", "3 λ 0.5", "5 λ 1"])
    #expect(try marks([1, 1]) == ["2 best"])
  }

  @Test func constantChartsAreAbsent() throws {
    let schedules = "lambda:\n  kind: constant\nlearningRateSchedule:\n  kind: constant\n"
    let moving = WrittenRun.epoch(0)
    let still = moving.replacing("\"active\":[1,0.5]", with: "\"active\":[1,1]")
    for (configuration, epoch, present) in [("{}\n", moving, true), (schedules, still, false)] {
      let run = try WrittenRun(configuration: configuration, metrics: epoch)
      let names = try withExtendedLifetime(run) { try Report(of: [run.path]).chartNames }
      for name in ["lambda", "learning-rate", "active"] { #expect(names.contains(name) == present, "\(name)") }
      #expect(names.contains("loss"), "one epoch is a chart")
    }
  }

  @Test func theCommandTrainsWithTheSameSettings() throws {
    var configuration = try Presets.configuration(named: "digits", method: "h-sat")
    for setting in ["epochs=3", "attack.stepSize=1/8", "lambda={kind: linear, initial: 0, final: 0.5, start: 1, end: 2}", "seed=7"]
    {
      configuration = try ConfigurationFile.apply(setting: setting, to: configuration)
    }
    let run = try WrittenRun(configuration: ConfigurationFile.text(configuration), metrics: WrittenRun.epoch(0))
    let record = try RunRecord(run.path)
    let command = try #require(record.trainingCommand)
    #expect(command.hasPrefix("sat train digits --method h-sat --set "))
    var again = try Presets.configuration(named: "digits", method: "h-sat")
    for part in command.components(separatedBy: " --set ").dropFirst() {
      again = try ConfigurationFile.apply(setting: part.trimmingCharacters(in: ["'"]), to: again)
    }
    #expect(again == configuration)
    let section = try Report(of: [run.path]).configurationSection
    let shown = section.tables[0].rows.dropFirst().enumerated().filter { !section.tables[0].same.contains($0.offset) }
    #expect(Set(shown.map(\.element[0])).isSuperset(of: ["epochs", "attack.stepSize", "lambda.final", "seed"]) && shown.count < 10)
  }
}
