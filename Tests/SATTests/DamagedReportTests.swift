import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// Reports of runs with files that were cut off or edited.
@Suite struct DamagedReportTests {
  private static let hessian = WrittenDocument.hessian(
    #"""
    "density": {"grid": [0, 1, 2], "values": [0.5, 0.25, 0.25], "width": 0.1},
    "perSample": {"eigenvalues": [1, 2, 3, 4], "residuals": [0.1, 0.1, 0.1, 0.1], "converged": [true, true, true, true],
    "approximations": {"central": [1.5, 2.5, 2, 3]}, "spearman": {"central": 0.5}}
    """#)
  private static let landscape = WrittenDocument.landscape(
    #""x": [-1, 0, 1], "y": [0, 1], "loss": [[3, 1, 3], [4, 2, 4]], "accuracy": [[0, 1, 0], [0, 0.5, 0.25]]"#)
  private static let evaluation = WrittenDocument.evaluation

  private static func run() throws -> WrittenRun {
    let run = try WrittenRun(metrics: WrittenRun.epoch(0))
    try run.add("hessian.json", hessian)
    try run.add("landscape.json", landscape)
    try run.add("evaluation-pgd.json", evaluation)
    return run
  }

  /// Everything a report makes of the run, so that whatever it would trip over is met.
  private static func drawn(_ folders: [String]) throws -> Report {
    let report = try Report(of: folders)
    _ = try ReportPage.html(report)
    for chart in report.charts { _ = (chart.csv, chart.thinned.csv) }
    return report
  }

  private struct Edit: CustomTestStringConvertible {
    var file: String
    var old: String
    var new: String
    var reason: String
    var testDescription: String { "\(file): \(new)" }

    init(_ file: String, _ old: String, _ new: String, _ reason: String) {
      self.file = file
      self.old = old
      self.new = new
      self.reason = reason
    }
  }

  private static let edits = [
    Edit("hessian", "[1, 2, 3, 4]", "[1, 2, 3]", "perSample has 3 eigenvalues of 4 samples"),
    Edit("hessian", "[0.5, 0.25, 0.25]", "[0.5]", "density has 1 values at 3 positions"),
    Edit("hessian", #""grid": [0, 1, 2]"#, #""grid": []"#, "density has 3 values at 0 positions"),
    Edit(
      "hessian", #""grid": [0, 1, 2]"#, #""grid": [0, NaN, 2]"#,
      "density.grid is empty or has a position that is not a finite number"),
    Edit("hessian", "[1.5, 2.5, 2, 3]", "[1.5, 2.5, 2, 3, 4]", "perSample.approximations.central has 5 values for 4 eigenvalues"),
    Edit("hessian", "[0.1, 0.1, 0.1, 0.1]", "[]", "perSample.residuals has 0 values"),
    Edit("hessian", "[true, true, true, true]", "[true]", "perSample.converged has 1 values"),
    Edit("landscape", "[4, 2, 4]", "[1]", "loss[1] has 1 values at 3 positions"),
    Edit("landscape", "[[3, 1, 3], [4, 2, 4]]", "[[3, 1, 3]]", "loss has 1 rows at 2 positions"),
    Edit("landscape", #""y": [0, 1], "#, "", "loss has 2 rows at 1 positions"),
    Edit("landscape", "[-1, 0, 1]", "[]", "x is empty or has a position that is not a finite number"),
    Edit("landscape", "[-1, 0, 1]", "[-1, 0, Infinity]", "x is empty or has a position that is not a finite number"),
    Edit("landscape", "[0, 0.5, 0.25]", "[0, 0.5]", "accuracy[1] has 2 values"),
    Edit("evaluation-pgd", #""samples": 3}"#, #""samples": -3}"#, "it states -3 samples"),
    Edit("evaluation-pgd", #""clean": {"correct": 3"#, #""clean": {"correct": 4"#, "clean counts 4 of 3"),
    Edit("evaluation-pgd", "[0.4, 1]", "[0.4]", "clean.interval has 1 ends"),
    Edit(
      "evaluation-pgd", #"[{"name": "pgd", "robust": 2, "seconds": 1, "forward": 3, "backward": 6}]"#, "[]", "robust has no attacks"
    ),
    Edit("evaluation-pgd", #""name": "pgd", "robust": 2"#, #""name": "pgd", "robust": 9"#, "pgd counts 9 of 3"),
    Edit(
      "evaluation-pgd",
      #"[{"class": 0, "samples": 1, "clean": 1, "robust": 1}, {"class": 4, "samples": 2, "clean": 2, "robust": 1}]"#, "[]",
      "perClass has 0 of 3"),
    Edit("evaluation-pgd", #""samples": 1, "clean": 1"#, #""samples": 1, "clean": 2"#, "class 0 counts more than its 1"),
    Edit("evaluation-pgd", #""clean": [1, 1, 1]"#, #""clean": []"#, "flags.clean has 0 of 3"),
    Edit("evaluation-pgd", #""pgd": [1, 0, 1], "#, "", "flags.pgd is missing"),
  ]

  @Test(arguments: edits) private func whatDoesNotBelongTogetherIsNotWhole(edit: Edit) throws {
    let run = try Self.run()
    let whole = try Self.drawn([run.path])
    #expect(whole.unreadable.isEmpty)
    let text = ["hessian": Self.hessian, "landscape": Self.landscape, "evaluation-pgd": Self.evaluation][edit.file]!
    let damaged = text.replacing(edit.old, with: edit.new)
    #expect(damaged != text)
    try run.add("\(edit.file).json", damaged)
    let report = try Self.drawn([run.path])
    #expect(report.unreadable.map(\.path) == ["\(run.path)/\(edit.file).json"])
    #expect(report.unreadable.first?.reason.hasPrefix("is not whole (\(edit.reason)") == true, "\(report.unreadable)")
    // The others are shown, and nothing is called absent that is only damaged.
    let lost = [
      "hessian": ["density", "scores"], "landscape": ["landscape-surface", "landscape-map"],
      "evaluation-pgd": ["waterfall", "classes"],
    ]
    #expect(report.charts.map(\.id) == whole.charts.map(\.id).filter { !lost[edit.file]!.contains($0) })
    #expect(report.omissions == whole.omissions)
  }

  @Test(arguments: ["{}", #"{"format": 7}"#, "[1]"], ["hessian", "landscape", "evaluation-pgd"])
  func documentsWithoutFormatAreNamed(text: String, file: String) throws {
    let run = try Self.run()
    let whole = try Self.drawn([run.path])
    try run.add("\(file).json", text)
    let report = try Self.drawn([run.path])
    #expect(report.unreadable.map(\.path) == ["\(run.path)/\(file).json"] && report.omissions == whole.omissions)
  }

  /// A version that this program does not know is no reason to leave a document out without a word.
  @Test(arguments: [("hessian", hessian), ("landscape", landscape), ("evaluation-pgd", evaluation), ("someone", hessian)])
  func otherVersionsAreNamed(file: String, text: String) throws {
    let run = try Self.run()
    let whole = try Self.drawn([run.path])
    let format = try #require(text.firstMatch(of: /"(sat-\w+)\/1"/)?.1)
    try run.add("\(file).json", text.replacing("\(format)/1", with: "\(format)/12"))
    let report = try Self.drawn([run.path])
    #expect(
      report.unreadable == [
        UnreadableDocument(
          path: "\(run.path)/\(file).json", reason: "is \(format)/12, but this version of sat reads \(format)/1",
          kind: String(format))
      ])
    #expect(report.omissions == whole.omissions, "what is only of another version is not called absent")
    #expect(
      try ReportPage.html(report).contains(
        "\(file).json is \(format)/12, but this version of sat reads \(format)/1"))
    try SafeTensors(
      tensors: [("images", .full([3, 1, 2, 2], 0.5)), ("originals", .full([3, 1, 2, 2], 0.25)), ("labels", Tensor([5, 6, 7]))],
      metadata: ["sat.evaluation": Self.evaluation.replacing("sat-evaluation/1", with: "sat-evaluation/2")]
    ).write(to: "\(run.path)/adversarial.safetensors")
    let images = try Self.drawn([run.path]).unreadable.first
    #expect(images?.reason == "cannot be read (its evaluation is sat-evaluation/2, but this version of sat reads sat-evaluation/1)")
  }

  @Test func imagesThatDoNotBelongTogetherAreNamed() throws {
    let images = Tensor.full([3, 1, 2, 2], 0.5)
    let good: [String: Tensor] = ["images": images, "originals": .full([3, 1, 2, 2], 0.25), "labels": Tensor([5, 6, 7])]
    let cases: [(String, Tensor, String)] = [
      ("labels", Tensor([5, 6]), "labels"), ("labels", Tensor([Float(5), 6, 7]), "labels"),
      ("originals", .full([2, 1, 2, 2], 0.25), "not those of one set"),
      ("images", .full([3, 4], 0.5), "not those of one set"),
    ]
    for (name, tensor, reason) in cases {
      let run = try WrittenRun(metrics: WrittenRun.epoch(0))
      try SafeTensors(
        tensors: good.merging([name: tensor]) { $1 }.map { ($0.key, $0.value) }, metadata: ["sat.evaluation": Self.evaluation]
      )
      .write(to: "\(run.path)/adversarial.safetensors")
      let report = try Self.drawn([run.path])
      #expect(report.unreadable.first?.reason.contains(reason) == true, "\(name): \(report.unreadable)")
    }
    let run = try WrittenRun(metrics: WrittenRun.epoch(0))
    let cut = Self.evaluation.replacing(#""clean": [1, 1, 1]"#, with: #""clean": []"#)
    try SafeTensors(tensors: good.map { ($0.key, $0.value) }, metadata: ["sat.evaluation": cut]).write(
      to: "\(run.path)/adversarial.safetensors")
    #expect(try Self.drawn([run.path]).unreadable.first?.reason.contains("flags.clean has 0 of 3") == true)
  }

  @Test func aTornLastLineIsNotCounted() throws {
    let line = WrittenRun.epoch(1)
    for length in [1, 20, line.utf8.count - 2] {
      for end in ["", "\n"] {
        let run = try WrittenRun(metrics: WrittenRun.epoch(0) + line.prefix(length) + end)
        let report = try Self.drawn([run.path])
        #expect(report.charts.first { $0.id == "loss" }?.series.map(\.y) == [[1.5]] && report.unreadable.isEmpty)
      }
    }
    let alone = try WrittenRun(metrics: #"{"epoch": 0, "tr"#)
    #expect(try Self.drawn([alone.path]).omissions.contains { $0.what == "The curves of training" })
    for line in ["7\n", #"{"epoch": 1}"#, WrittenRun.epoch(-1), WrittenRun.epoch(.max)] {
      let run = try WrittenRun(metrics: WrittenRun.epoch(0) + line)
      #expect(throws: SATError.self, "\(line) is whole, but no epoch") { try Self.drawn([run.path]) }
    }
  }

  @Test func aDamagedRunAmongSeveralIsNamed() throws {
    let good = try WrittenRun("good", metrics: WrittenRun.epoch(0))
    let torn = try WrittenRun("torn", metrics: WrittenRun.epoch(0) + "{]\n" + WrittenRun.epoch(2))
    let bad = try WrittenRun("bad", configuration: "a: [", metrics: WrittenRun.epoch(0))
    let report = try Self.drawn([torn.path, good.path, bad.path])
    #expect(report.folders == [good.path])
    #expect(report.unreadable.map(\.path) == [torn.path, bad.path])
    #expect(
      report.unreadable.map(\.reason) == [
        "cannot be read (metrics.jsonl, line 2 is not an epoch's metrics)",
        "cannot be read (config.yaml is not YAML)",
      ])
    #expect(report.charts == (try Report(of: [good.path])).charts)
    #expect(
      report.files.contains("\(bad.path)/config.yaml") && report.files.contains("\(torn.path)/metrics.jsonl"),
      "no page replaces them")
    #expect(throws: SATError.self) { try Report(of: [torn.path, bad.path]) }
    #expect(throws: SATError.self, "a path that is none is a mistake") { try Report(of: [good.path, "/nonexistent"]) }
  }

  @Test func quantilesThatAreMissingLeaveGaps() throws {
    let whole = WrittenRun.epoch(0, method: #""h-sat":{"score.05":1,"score.25":2,"score.50":3,"score.75":4,"score.95":5}"#)
    let run = try WrittenRun(metrics: whole + WrittenRun.epoch(1, method: #""h-sat":{"score.50":3}"#))
    let chart = try #require(try Self.drawn([run.path]).charts.first { $0.id == "method-h-sat-score" })
    #expect(chart.csv == "series,epoch,h-sat.score,low,high\nrun,1,3,2,4\nrun,2,3,nan,nan\n")
  }
}
