import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// A folder with the files of a run, written by hand, that is gone after the test.
final class WrittenRun {
  let path: String
  private let parent: String

  init(_ name: String = "run", configuration: String = "method: p-sat\nthreat:\n  norm: linf\n  epsilon: 8/255\n", metrics: String)
    throws
  {
    parent = FileManager.default.temporaryDirectory.appendingPathComponent("sat-report-\(UUID().uuidString)").path
    path = "\(parent)/\(name)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    try add("config.yaml", configuration)
    try add("metrics.jsonl", metrics)
  }

  deinit { try? FileManager.default.removeItem(atPath: parent) }

  func add(_ name: String, _ text: String) throws { try text.write(toFile: "\(path)/\(name)", atomically: true, encoding: .utf8) }

  /// A line of metrics.jsonl.
  ///
  /// - Parameter method: a method's own numbers under its name.
  static func epoch(
    _ epoch: Int, loss: String = "1.5", robust: String = "0.25", method: String = #""p-sat":{"stopped":0.5}"#
  ) -> String {
    #"{"active":[1,0.5],"epoch":\#(epoch),"gradientNorm":2.5,"lambda":0.25,"learningRate":0.01,"perturbation":{"max":0.3,"#
      + #""mean":0.2},"#
      + #""seconds":12.5,"samplesPerSecond":400,"time":1700000000,"train":{"accuracy":0.5,"loss":\#(loss)},"#
      + #""validation":{"clean":0.75,"robust":\#(robust),"samples":40},"psi":{"p05":-1,"p25":-0.5,"p50":0.1,"p75":0.5,"p95":1},"#
      + #""smoothness":{"eigenvalue":30,"trace":200,"traceError":10,"gradientNorm":1.25},\#(method)}"# + "\n"
  }
}

/// Documents as the commands write them, with some parts of the test's own.
enum WrittenDocument {
  /// - Parameters:
  ///   - samples: in `perSample`, if it is there.
  ///   - parts: further keys and values.
  static func hessian(samples: Int = 4, _ parts: String) -> String {
    #"""
    {"format": "sat-hessian/1", "model": "m", "data": {"name": "digits", "split": "train", "samples": 128}, "at": "clean",
     "dtype": "float32",
     "seed": 0, "loss": 0.5, "gradientNorm": 1, "parameters": 10, "samples": \#(samples), "products": 3, "seconds": 1,
      "versions": {}, \#(parts)}
    """#
  }

  static func landscape(_ parts: String) -> String {
    #"""
    {"format": "sat-landscape/1", "model": "m", "data": {"name": "digits", "split": "train", "samples": 128},
     "examples": "clean", "seed": 0,
     "seconds": 1, "versions": {}, \#(parts)}
    """#
  }

  /// An evaluation of three samples. The attack broke the second.
  static let evaluation = #"""
    {"format": "sat-evaluation/1", "model": "m", "data": {"name": "d", "split": "test", "samples": 3}, "seed": 0, "batchSize": 2,
     "mode": "fast",
     "seconds": 1, "clean": {"correct": 3, "accuracy": 1, "interval": [0.4, 1]}, "threat": {"norm": "linf", "epsilon": 0.1},
     "attacks": [{"name": "pgd", "robust": 2, "seconds": 1, "forward": 3, "backward": 6}],
     "robust": {"correct": 2, "accuracy": 0.67, "interval": [0.2, 0.9]},
     "perClass": [{"class": 0, "samples": 1, "clean": 1, "robust": 1}, {"class": 4, "samples": 2, "clean": 2, "robust": 1}],
     "flags": {"clean": [1, 1, 1], "pgd": [1, 0, 1], "robust": [1, 0, 1]}, "warnings": [], "versions": {}}
    """#
}

@Suite struct ReportTests {
  /// The JSON inside a page.
  static func data(of page: String) throws -> [String: Any] {
    let start = try #require(page.firstRange(of: #"<script type="application/json" id="report-data">"#))
    let end = try #require(page[start.upperBound...].firstRange(of: "</script>"))
    return try #require(
      JSONSerialization.jsonObject(with: Data(page[start.upperBound..<end.lowerBound].utf8)) as? [String: Any])
  }

  /// A series of a chart in the page's data.
  func series(_ page: String, _ chart: String, _ index: Int = 0) throws -> [String: Any] {
    let charts = try #require(try Self.data(of: page)["charts"] as? [[String: Any]])
    let found = try #require(charts.first { $0["id"] as? String == chart }, "no chart \(chart)")
    return try #require(found["series"] as? [[String: Any]])[index]
  }

  @Test func thePageHoldsTheMetrics() throws {
    let run = try WrittenRun(metrics: WrittenRun.epoch(0) + WrittenRun.epoch(1, loss: "0.1234567890123456", robust: "0.5"))
    let page = try ReportPage.html(Report(of: [run.path]))
    // JSONSerialization rounds the last digit away, so the text itself is looked at.
    #expect(page.contains(#""y":[1.5,0.1234567890123456]"#))
    #expect(try series(page, "loss")["x"] as? [Double] == [1, 2], "epochs count from 1")
    #expect(try series(page, "accuracy", 0)["y"] as? [Double] == [0.75, 0.75])
    #expect(try series(page, "accuracy", 1)["y"] as? [Double] == [0.25, 0.5])
    #expect(try series(page, "lambda")["y"] as? [Double] == [0.25, 0.25])
    #expect(try series(page, "perturbation")["y"] as? [Double] == [0.2, 0.2])
    #expect(try series(page, "active")["z"] as? [[Double]] == [[1, 0.5], [1, 0.5]])
    #expect(try series(page, "eigenvalue")["y"] as? [Double] == [30, 30])
    #expect(try series(page, "trace")["low"] as? [Double] == [190, 190])
    #expect(try series(page, "trace")["high"] as? [Double] == [210, 210])
    #expect(try series(page, "gap")["low"] as? [Double] == [-0.5, -0.5])
    #expect(try series(page, "method-p-sat-stopped")["y"] as? [Double] == [0.5, 0.5])
    #expect(page.contains("<td>2<small>of 2, by robust accuracy on validation</small></td>"), "the best epoch, counted from 1")
    #expect(page.contains("8/255"), "epsilon as it was typed")
    #expect(!page.contains("src=") && !page.contains("href=\"http"), "the page asks nobody")
  }

  @Test func numbersThatAreNoneAreSaidToBe() throws {
    let run = try WrittenRun(
      metrics: WrittenRun.epoch(0, loss: "NaN") + WrittenRun.epoch(1, loss: "-Infinity") + WrittenRun.epoch(2))
    let report = try Report(of: [run.path])
    let page = try ReportPage.html(report)
    let values = try #require(try series(page, "loss")["y"] as? [Any])
    #expect(values[0] as? String == "NaN" && values[1] as? String == "-Infinity" && values[2] as? Double == 1.5)
    #expect(report.charts.first { $0.id == "loss" }?.csv == "series,epoch,loss\nrun,1,nan\nrun,2,-inf\nrun,3,1.5\n")
  }

  @Test func namesCannotBecomeMarkup() throws {
    let name = #"<b>&"x"</script><img src=x onerror=alert(1)>"#.replacing("/", with: "∕")
    let run = try WrittenRun(
      name, configuration: "method: '</script><script>alert(1)</script>{{data}}'\n", metrics: WrittenRun.epoch(0))
    let page = try ReportPage.html(Report(of: [run.path]))
    #expect(page.components(separatedBy: "</script>").count == 3, "the data and the page's script, and nothing else")
    #expect(!page.contains("<img") && !page.contains("<b>&"))
    #expect(page.contains("&lt;b&gt;&amp;&quot;x&quot;"))
    #expect(page.contains("{{data}}"), "what is put in is not searched again")
    #expect(try Self.data(of: page)["runs"] as? [String] == [name])
  }

  @Test func severalRunsStandSideBySide() throws {
    let a = try WrittenRun("same", metrics: WrittenRun.epoch(0))
    let b = try WrittenRun("same", configuration: "method: at\n", metrics: WrittenRun.epoch(0, loss: "2") + WrittenRun.epoch(1))
    let report = try Report(of: [a.path, b.path])
    #expect(report.runs.map(\.name) == [a.path, b.path], "one name twice is told apart by the path")
    let loss = try #require(report.charts.first { $0.id == "loss" })
    #expect(loss.series.map(\.run) == [0, 1])
    #expect(loss.series.map(\.y) == [[1.5], [2, 1.5]])
    #expect(Set(report.charts.map(\.id)).count == report.charts.count, "each chart has a name of its own")
    let twice = try Report(of: [a.path, a.path])
    #expect(Set(twice.runs.map(\.name)).count == 2)
    let page = try ReportPage.html(report)
    #expect(page.contains("<tr><th scope=\"row\">method</th>"))
    #expect(page.contains("<tr class=\"same\"><th scope=\"row\">threat.norm</th>") == false, "only one run has it")
  }

  @Test func scoresOfAllRunsShareAChart() throws {
    let (a, b) = (try WrittenRun("a", metrics: WrittenRun.epoch(0)), try WrittenRun("b", metrics: WrittenRun.epoch(0)))
    func document(_ correlation: Double) -> String {
      WrittenDocument.hessian(
        samples: 2,
        #""perSample": {"eigenvalues": [1, 2], "residuals": [0, 0], "approximations": {"loss": [3, 4]}, "#
          + #""spearman": {"loss": \#(correlation)}}"#
      )
    }
    try a.add("clean.json", document(0.5))
    try a.add("adversarial.json", document(0.25))
    try b.add("clean.json", document(1))
    let report = try withExtendedLifetime((a, b)) { try Report(of: [a.path, b.path]) }
    let chart = try #require(report.charts.first { $0.id == "scores" })
    #expect(chart.series.map(\.run) == [0, 0, 1] && chart.series.map(\.role) == [0, 1, 0])
    #expect(chart.series.allSatisfy { $0.panel == "loss" })
    let table = try #require(report.sections.first { $0.id == "curvature" }?.tables.last)
    #expect(table.rows == [["score", "a: adversarial", "a: clean", "b"], ["1. loss", "0.2500", "0.5000", "1.0000"]])
  }

  @Test func quantilesOfAMethodAreOneChart() throws {
    let own = #""h-sat":{"score.05":1,"score.25":2,"score.50":3,"score.75":4,"score.95":5,"other.50":6}"#
    let run = try WrittenRun(metrics: WrittenRun.epoch(0, method: own))
    let charts = try withExtendedLifetime(run) { try Report(of: [run.path]) }.charts.filter { $0.id.hasPrefix("method-") }
    #expect(charts.map(\.id) == ["method-h-sat-other-50", "method-h-sat-score"])
    let score = charts[1].series[0]
    #expect(score.low == [2] && score.y == [3] && score.high == [4])
  }

  @Test func whatIsMissingIsNamedWithItsCommand() throws {
    let run = try WrittenRun(metrics: "")
    let report = try Report(of: [run.path])
    #expect(report.charts.isEmpty)
    #expect(report.omissions.count == 6)
    #expect(report.sections.map(\.id) == ["results", "configuration", "missing", "sources"])
    for command in [
      "sat train --run \(run.path) --resume", "--track-smoothness", "sat hessian \(run.path)", "sat landscape \(run.path)",
    ] {
      #expect(report.omissions.contains { $0.command.contains(command) }, "\(command)")
    }
    let page = try ReportPage.html(report)
    #expect(page.contains("Not shown"))
  }

  @Test func documentsAreKnownByTheirFormat() throws {
    let run = try WrittenRun(metrics: WrittenRun.epoch(0))
    try run.add("other.json", #"{"format": "someone's/1"}"#)
    try run.add("list.json", "[1, 2]")
    try run.add(
      "h.json",
      WrittenDocument.hessian(
        samples: 3,
        #"""
        "eigenvalues": [{"value": 3.5, "residual": 0.25, "iterations": 4, "converged": true}],
        "trace": {"mean": 7, "standardError": 1, "probes": 9}, "density": {"grid": [0, 1], "values": [0.75, 0.25], "width": 0.1},
        "perSample": {"eigenvalues": [1, 2, 3], "residuals": [0, 0, 0], "approximations": {"central": [1.5, 2.5, 2], "power": [1,
         1, 1]},
        "spearman": {"central": 0.5, "power": NaN}}
        """#))
    try run.add(
      "l.json",
      WrittenDocument.landscape(
        #""x": [-1, 0, 1], "y": [0, 1], "loss": [[3, 1, 3], [4, 2, 4]], "accuracy": [[0, 1, 0], [0, 1, 0]]"#))
    let report = try Report(of: [run.path])
    func chart(_ id: String) throws -> Chart { try #require(report.charts.first { $0.id == id }, "no chart \(id)") }
    #expect(try chart("eigenvalues").series[0].low == [2.625], "the residual is relative")
    #expect(try chart("density").series[0].y == [0.75, 0.25])
    let scores = try chart("scores")
    #expect(scores.series.map(\.panel) == ["central", "power"], "the best first, one without a correlation last")
    #expect(scores.series[0].x == [1, 2, 3] && scores.series[0].y == [1.5, 2.5, 2])
    #expect(scores.csv.hasPrefix("series,panel,exact_magnitude,estimate\nh,central,1,1.5\n"))
    let table = try #require(report.sections.first { $0.id == "curvature" }?.tables.last)
    #expect(table.rows.dropFirst().map { $0 } == [["1. central", "0.5000"], ["2. power", "not defined"]])
    #expect(
      try chart("landscape-surface").csv
        == "series,first_direction,second_direction,loss\nl,-1,0,3\nl,0,0,1\nl,1,0,3\nl,-1,1,4\nl,0,1,2\nl,1,1,4\n")
    try run.add("bad.json", WrittenDocument.hessian(#""eigenvalues": 7"#))
    try run.add("evaluation.json", #"{"format": "sat-eval"#)
    let damaged = try Report(of: [run.path])
    #expect(
      damaged.unreadable.map(\.reason) == [
        "says it is sat-hessian/1 but has the wrong kind of value for 'eigenvalues'", "is not whole JSON",
      ])
    #expect(!damaged.omissions.contains { $0.what == "Robustness" } && damaged.charts == report.charts)
    try Data([64, 0, 0]).write(to: URL(fileURLWithPath: "\(run.path)/adversarial.safetensors"))
    let cut = try Report(of: [run.path])
    #expect(cut.unreadable.map(\.path).first == "\(run.path)/adversarial.safetensors" && cut.charts == report.charts)
    #expect(!cut.omissions.contains { $0.what == "Adversarial images" })
    let page = try ReportPage.html(cut)
    #expect(page.contains("evaluation.json is not whole JSON"))
    #expect(page.contains("adversarial.safetensors cannot be read (the safetensors file is cut off)"))
  }

  @Test func smoothnessSaysAtWhichImagesItIs() throws {
    let configuration = "threat:\n  norm: linf\n  epsilon: 0.1\nsmoothness:\n  samples: 256\n"
    let run = try WrittenRun("a", configuration: configuration, metrics: WrittenRun.epoch(0))
    func note(_ runs: [WrittenRun]) throws -> String {
      try #require(Report(of: runs.map(\.path)).charts.first { $0.id == "trace" }).note
    }
    #expect(
      try note([run]).hasPrefix(
        "On 256 training images, perturbed by the training attack (linf, radius 0.1), the same in every epoch"))
    let other = try WrittenRun("b", configuration: configuration.replacing("0.1", with: "0.3"), metrics: WrittenRun.epoch(0))
    #expect(
      try note([run, other]).contains(
        "(linf, radius 0.1) in a; 256 training images, perturbed by the training attack (linf, radius 0.3) in b,"))
  }

  @Test func numbersSayAtWhichImagesTheyAre() throws {
    let run = try WrittenRun("a b", metrics: WrittenRun.epoch(0))
    func document(_ more: String) -> String {
      WrittenDocument.hessian(
        samples: 2,
        #""eigenvalues": [{"value": 1, "residual": 0, "iterations": 2, "converged": true}], "perSample": {"eigenvalues": [-3, 2], "#
          + #""residuals": [0, 0], "approximations": {"loss": [3, 4]}, "spearman": {"loss": -1}}\#(more)"#)
    }
    try run.add("h.json", document(""))
    let alone = try Report(of: [run.path])
    let chart = try #require(alone.charts.first { $0.id == "eigenvalues" })
    #expect(chart.note.contains("Measured at: clean, 128 train images of digits.") && chart.series.map(\.name) == ["h"])
    #expect(alone.charts.first { $0.id == "scores" }?.series[0].x == [3, 2], "Fig. 7 is of magnitudes")
    #expect(alone.omissions.contains { $0.command.hasPrefix("sat landscape '\(run.path)' --split train") })
    try run.add("k.json", document(#", "perturbation": {"norm": "linf", "epsilon": 0.1, "steps": 10, "stepSize": 0.025}"#))
    let both = try #require(Report(of: [run.path]).charts.first { $0.id == "eigenvalues" })
    #expect(
      both.series.map(\.name) == [
        "h, clean, 128 train images of digits", "k, adversarial (linf, radius 0.1), 128 train images of digits",
      ])
  }

  @Test func mistakesGetASentence() throws {
    func message(_ folder: String) -> String {
      do {
        _ = try Report(of: [folder])
        return ""
      } catch { return "\(error)" }
    }
    let run = try WrittenRun(metrics: WrittenRun.epoch(0) + "{\"epoch\": \n" + WrittenRun.epoch(2))
    #expect(message(run.path).contains("metrics.jsonl, line 2"))
    try run.add("metrics.jsonl", "{\"lambda\": 1}\n")
    #expect(message(run.path).contains("line 1"))
    try run.add("metrics.jsonl", "")
    try run.add("config.yaml", "a: [")
    #expect(message(run.path).contains("config.yaml is not YAML"))
    #expect(message("/nonexistent").contains("/nonexistent is not a folder"))
    #expect(message(FileManager.default.temporaryDirectory.path).contains("holds no run"))
  }

  @Test func longLinesAreThinnedAndKeepTheirSpikes() throws {
    let count = 50_000
    var values = (0..<count).map { sin(Double($0) / 4000) }
    values[31_234] = 90
    values[7] = -.infinity
    values[40_000] = .nan
    let series = Chart.Series(name: "a", run: 0, x: (0..<count).map(Double.init), y: values)
    let chart = Chart(id: "a", title: "", note: "Note.", form: .lines, x: Chart.Axis("x"), y: Chart.Axis("y"), series: [series])
    let thinned = chart.thinned.series[0]
    #expect(thinned.y.count <= Chart.pointLimit && thinned.y.count > Chart.pointLimit / 2)
    #expect(thinned.y.contains(90) && thinned.y.contains(-.infinity))
    let x = thinned.x
    #expect(x.first == 0 && x.last == Double(count - 1) && x == x.sorted())
    for (x, y) in zip(x, thinned.y) where y.isFinite { #expect(y == values[Int(x)]) }
    #expect(chart.thinned.note.contains("of 50000 points"))
    #expect(chart.csv.split(separator: "\n").count == count + 1, "the CSV has all")
    let grid = Chart.Series(
      name: "g", run: 0, x: (0..<40).map(Double.init), y: (0..<1000).map(Double.init),
      z: (0..<1000).map { row in (0..<40).map { Double(row * 40 + $0) } })
    let small = Chart(
      id: "g", title: "", note: "", form: .heatmap, x: Chart.Axis("x"), y: Chart.Axis("y"), z: Chart.Axis("z"), series: [grid]
    ).thinned.series[0]
    #expect(small.y.count == Chart.gridLimit && small.z?.count == Chart.gridLimit && small.y.last == 999)
    for (row, values) in zip(small.y, small.z ?? []) { #expect(values[3] == row * 40 + 3) }
    let short = Chart(
      id: "s", title: "", note: "n", form: .lines, x: Chart.Axis("x"), y: Chart.Axis("y"),
      series: [.init(name: "s", run: 0, x: [0], y: [2])])
    #expect(short.thinned == short)
  }

  @Test func fieldsWithCommasAreQuoted() {
    let chart = Chart(
      id: "q", title: "", note: "", form: .bars, x: Chart.Axis("attack", words: ["x\ny"]), y: Chart.Axis("accuracy"),
      series: [.init(name: "a, \"b\"", run: 0, x: [0], y: [0.1], low: [0], high: [0.25])])
    #expect(chart.csv == "series,attack,accuracy,low,high\n\"a, \"\"b\"\"\",\"x\ny\",0.1,0,0.25\n")
  }

  @Test func imagesAreTheOnesTheAttackChanged() throws {
    let run = try WrittenRun(metrics: WrittenRun.epoch(0))
    let originals = Tensor((0..<3 * 4).map { UInt8($0 * 20) }, shape: [3, 1, 2, 2])
    let before = originals.to(.float32) / 255
    let images = before.cloned()
    images[1].copyInPlace(from: before[1] + Tensor([Float(0.1), -0.1, 0, 0.05], shape: [1, 2, 2]))
    try SafeTensors(
      tensors: [("images", images), ("originals", originals), ("labels", Tensor([5, 6, 7]))],
      metadata: ["sat.evaluation": WrittenDocument.evaluation]
    ).write(to: "\(run.path)/adversarial.safetensors")
    try SafeTensors(tensors: [("weights", .zeros(3))]).write(to: "\(run.path)/other.safetensors")
    let report = try Report(of: [run.path])
    let page = try ReportPage.html(report)
    let sets = try #require(try Self.data(of: page)["images"] as? [[String: Any]])
    #expect(sets.count == 1)
    let examples = try #require(sets[0]["examples"] as? [String: Any])
    #expect(examples["scale"] as? Double == 0.1)
    let shown = try #require(examples["examples"] as? [[String: Any]])
    #expect(shown.map { $0["label"] as? Int } == [6])
    func bytes(_ key: String) -> [UInt8] { Array(Data(base64Encoded: shown[0][key] as? String ?? "") ?? Data()) }
    #expect(bytes("original") == [80, 100, 120, 140])
    #expect(bytes("adversarial") == [106, 74, 120, 153])
    #expect(bytes("difference").first == 255 && bytes("difference")[1] == 0 && [127, 128].contains(bytes("difference")[2]))
    #expect(page.contains("The first 1 of the 1 images (of 3)"))
  }
}
