import Foundation
import SwiftTorch
import Testing

/// A browser without a window, where the machine has one.
enum Browser {
  static let path: String? = {
    let named = ProcessInfo.processInfo.environment["SAT_TEST_BROWSER"]
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
    let usual = folders.flatMap { folder in ["chromium", "google-chrome", "chromium-browser"].map { "\(folder)/\($0)" } }
    let found = ([named].compactMap { $0 } + usual).first { FileManager.default.isExecutableFile(atPath: $0) }
    if found == nil { print("skipped: no browser is here; install chromium, or name one in SAT_TEST_BROWSER") }
    return found
  }()

  /// The page as it is once its scripts have run, and what it said on the console.
  static func open(_ page: String, in folder: String) throws -> (document: String, console: String) {
    let line =
      #""$BROWSER" --headless --no-sandbox --use-angle=swiftshader --enable-unsafe-swiftshader --user-data-dir="$PWD/profile" "#
      + #"--enable-logging=stderr --virtual-time-budget=20000 --dump-dom "file://$PAGE""#
    let outcome = try Command.shell("export BROWSER='\(path!)' PAGE='\(page)'; timeout 120 " + line, in: folder)
    #expect(outcome.status == 0, "\(outcome.errors.suffix(2000))")
    return (outcome.output, outcome.errors.split(separator: "\n").filter { $0.contains("CONSOLE") }.joined(separator: "\n"))
  }
}

@Suite(.serialized, .timeLimit(.minutes(20))) struct ReportCommandTests {
  /// A run with something for every section; what is not measured here is written by hand.
  private func run(_ scratch: Scratch) throws -> String {
    let run = try EvaluateCommandTests.trained(scratch)
    let test = try scratch.images("test.safetensors", count: 40, seed: 5)
    let outcome = try Command.run([
      "evaluate", run, "--data", test, "--attack", "fgsm,pgd", "--steps", "4", "--epsilon", "0.3", "--quiet",
      "--json-file", run + "/evaluation-pgd.json",
    ])
    #expect(outcome.status == 0, "\(outcome.errors)")
    try SafeTensors(
      tensors: [("images", .full([2, 3, 8, 8], 0.75)), ("originals", .full([2, 3, 8, 8], 0.5)), ("labels", Tensor([3, 4]))],
      metadata: ["sat.evaluation": try String(contentsOfFile: run + "/evaluation-pgd.json", encoding: .utf8)]
    ).write(to: run + "/adversarial.safetensors")
    let common =
      #""model": "m", "data": {"name": "digits", "split": "train", "samples": 128}, "seed": 0, "seconds": 1, "versions": {}"#
    try #"""
    {"format": "sat-hessian/1", \#(common), "at": "clean", "dtype": "float32", "loss": 1, "gradientNorm": 1, "parameters": 9,
     "samples": 3,
     "products": 4, "eigenvalues": [{"value": 3.5, "residual": 0.25, "iterations": 4, "converged": true}],
     "density": {"grid": [0, 1], "values": [1, 0], "width": 0.1},
     "perSample": {"eigenvalues": [1, 2, 3], "residuals": [0, 0, 0], "approximations": {"central": [1.5, 2.5, 2]},
      "spearman": {"central": 0.5}}}
    """#.write(toFile: run + "/hessian.json", atomically: true, encoding: .utf8)
    try #"""
    {"format": "sat-landscape/1", \#(common), "examples": "clean", "x": [-1, 0, 1], "y": [-1, 0, 1], "loss": [[3, 1, 3], [4, 2,
     4], [3, 1, 3]],
     "accuracy": [[0, 1, 0], [0, 1, 0], [0, 1, 0]]}
    """#.write(toFile: run + "/landscape.json", atomically: true, encoding: .utf8)
    return run
  }

  @Test func aBrowserDrawsEveryChart() throws {
    let scratch = try Scratch()
    let run = try run(scratch)
    let outcome = try Command.run(["report", run, "--csv", scratch.file("csv"), "--json"])
    #expect(outcome.status == 0, "\(outcome.errors)")
    let charts = try #require(outcome.json["charts"] as? [String])
    for id in [
      "loss", "accuracy", "active", "lambda", "eigenvalues", "density", "scores", "landscape-surface", "waterfall",
      "classes",
    ] {
      #expect(charts.contains(id), "no chart \(id)")
    }
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: scratch.file("csv")).sorted() == charts.map { $0 + ".csv" }.sorted())
    #expect(outcome.json["page"] as? String == run + "/report.html")
    guard Browser.path != nil else { return }
    let (document, console) = try Browser.open(run + "/report.html", in: scratch.path)
    #expect(document.contains("data-ready=\"yes\""), "the page's script came to its end")
    #expect(document.components(separatedBy: "data-drawn=\"yes\"").count - 1 == charts.count)
    #expect(document.contains("class=\"surface\"") && document.components(separatedBy: "<canvas").count - 1 == 6)
    #expect(document.contains(">Copy</button>"))
    let size = try FileManager.default.attributesOfItem(atPath: run + "/report.html")[.size] as? Int
    #expect(try #require(size) < 300_000, "a page of a small run is small")
    for word in ["Uncaught", "Refused", "rror:", "Failed"] { #expect(!console.contains(word), "\(console)") }
  }

  @Test func mistakesGetASentence() throws {
    let scratch = try Scratch()
    let run = try EvaluateCommandTests.trained(scratch)
    func report(_ arguments: [String]) throws -> Command.Outcome { try Command.run(["report"] + arguments) }
    try "{\"format\": \"sat-hessian/1\", ".write(toFile: run + "/hessian.json", atomically: true, encoding: .utf8)
    let cases: [([String], Int32, String)] = [
      ([], 64, "run"), ([scratch.path], 1, "holds no run"), ([scratch.file("none")], 1, "not a folder"),
      ([run, "--out", run + "/config.yaml"], 1, "config.yaml is an input of this command"),
      (
        [run, "--json-file", run + "/../" + run.split(separator: "/").last! + "/hessian.json"], 1,
        "hessian.json is an input of this command"
      ),
      ([run, "--out", "/proc/nowhere/r.html"], 1, "/proc/nowhere/r.html"),
      ([run, "--out", scratch.file("r.html"), "--csv", "/proc/nowhere"], 1, "/proc/nowhere"),
    ]
    for (arguments, status, word) in cases {
      let outcome = try report(arguments)
      #expect(outcome.status == status && outcome.errors.contains(word), "\(arguments): \(outcome.errors)")
      if status == 1 { #expect(outcome.sentence.split(separator: "\n").count == 1) }
    }
    #expect(!FileManager.default.fileExists(atPath: run + "/report.html"), "nothing half-written")
    #expect(try String(contentsOfFile: run + "/hessian.json", encoding: .utf8) == "{\"format\": \"sat-hessian/1\", ")
    let damaged = try report([run, "--out", scratch.file("r.html")])
    #expect(
      damaged.status == 0 && damaged.errors.contains("hessian.json is not whole JSON") && !damaged.output.contains("the Hessian"),
      "\(damaged)")
    try "{\"format\": \"sat-hessian/2\"}".write(toFile: run + "/hessian.json", atomically: true, encoding: .utf8)
    let other = try report([run, "--out", scratch.file("r.html"), "--json"])
    #expect(
      other.status == 0
        && other.errors.contains("is sat-hessian/2, but this version of sat reads sat-hessian/1, so the page leaves it out"))
    #expect(other.json["unreadable"] as? [String] == [run + "/hessian.json"])
  }
}
