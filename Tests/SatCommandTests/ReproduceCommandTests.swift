import Foundation
import Testing

@Suite(.serialized, .timeLimit(.minutes(20))) struct ReproduceCommandTests {
  private func arguments(_ scratch: Scratch, _ folder: String) -> [String] {
    ["reproduce", "table-2", "--settings", "mnist-0.3", "--methods", "at,p-sat", "--out", scratch.file(folder), "--threads", "1"]
  }

  @Test func aStoppedReproductionEndsAsOneThatWasNot() throws {
    let scratch = try Scratch()
    let whole = try Command.run(arguments(scratch, "whole") + ["--json", "--csv", scratch.file("numbers.csv")])
    #expect(whole.status == 0, "\(whole.errors)")
    #expect(whole.json["format"] as? String == "sat-reproduction/1")
    #expect(!whole.errors.contains("--epochs") && !whole.errors.contains("--set"), "what it has no options for is not advised")
    let figures = try #require(whole.json["figures"] as? [[String: Any]])
    #expect(figures.count == 6)
    let clean = try #require(figures.first { $0["method"] as? String == "p-sat" && $0["quantity"] as? String == "clean" })
    #expect(clean["paper"] as? Double == 99.16)
    let (value, low, high) = (clean["value"] as! Double, clean["low"] as! Double, clean["high"] as! Double)
    #expect(low <= value && value <= high && high <= 100)
    #expect(
      ((whole.json["changes"] as? [[String: Any]])?.first?["changes"] as? [String])?.contains { $0.contains("digits") } == true)
    let csv = try String(contentsOfFile: scratch.file("numbers.csv"), encoding: .utf8)
    #expect(csv.hasPrefix("item,setting,method,quantity,value,low,high,paper\ntable-2,mnist-0.3,at,clean,"))
    for file in ["table-2-smoke/result.json", "table-2-smoke/result.csv", "smoke/mnist-0.3-p-sat/evaluation-pgd.json"] {
      #expect(FileManager.default.fileExists(atPath: scratch.file("whole/\(file)")), "\(file)")
    }

    let stopped = try Command.run(
      arguments(scratch, "parts"), interruptingBy: SIGINT, onceThereIs: scratch.file("parts/smoke/mnist-0.3-at/metrics.jsonl"))
    #expect(stopped.status == 130, "\(stopped.errors)")
    #expect(stopped.errors.contains("goes on from there"))
    let resumed = try Command.run(arguments(scratch, "parts") + ["--json"])
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(NSArray(array: figures) == NSArray(array: resumed.json["figures"] as? [[String: Any]] ?? []))

    // Once more: nothing is left to do.
    let again = try Command.run(arguments(scratch, "whole"))
    #expect(again.status == 0 && again.errors.contains("trained already") && !again.errors.contains("evaluated,"))
    // A measurement in another precision is not reused.
    let kept = scratch.file("whole/smoke/mnist-0.3-at/evaluation-pgd.json")
    try String(contentsOfFile: kept, encoding: .utf8).replacing("\"precision\" : \"fp32\"", with: "\"precision\" : \"bf16\"").write(
      toFile: kept, atomically: true, encoding: .utf8)
    let renewed = try Command.run(arguments(scratch, "whole") + ["--json"])
    #expect(renewed.errors.contains("was measured with precision bf16, not fp32; it is measured again"), "\(renewed.errors)")
    #expect(NSArray(array: figures) == NSArray(array: renewed.json["figures"] as? [[String: Any]] ?? []))
    let other = try Command.run(arguments(scratch, "whole") + ["--plan", "--json"])
    #expect((other.json["runs"] as? [[String: Any]])?.map { $0["epochsDone"] as? Int } == [2, 2])
    // A run that is another's is not touched.
    let file = scratch.file("whole/smoke/mnist-0.3-at/config.yaml")
    try String(contentsOfFile: file, encoding: .utf8).replacing("batchSize: 128", with: "batchSize: 64").write(
      toFile: file, atomically: true, encoding: .utf8)
    let foreign = try Command.run(arguments(scratch, "whole"))
    #expect(foreign.status == 1 && foreign.sentence.contains("another configuration"), "\(foreign.errors)")
  }

  @Test func aPlanDoesNothing() throws {
    let scratch = try Scratch()
    let outcome = try Command.run(arguments(scratch, "plan") + ["--plan", "--scale", "small"])
    #expect(outcome.status == 0 && outcome.output.contains("14 epochs instead of 70") && outcome.output.contains("0/14"))
    let paper = try Command.run(arguments(scratch, "plan") + ["--plan", "--scale", "paper", "--data-root", scratch.path])
    #expect(paper.output.contains("`sat data fetch mnist`"), "\(paper.output)")
    let here = try Command.run(arguments(scratch, "plan") + ["--plan", "--json"])
    #expect((here.json["missingData"] as? [String])?.isEmpty == true, "the digits are there")
    #expect(!FileManager.default.fileExists(atPath: scratch.file("plan")))
  }

  @Test func schedulesNeedNoTraining() throws {
    let scratch = try Scratch()
    let outcome = try Command.run([
      "reproduce", "fig-5", "--settings", "mnist-0.3", "--methods", "p-sat", "--out", scratch.file("r"), "--json",
    ])
    #expect(outcome.status == 0, "\(outcome.errors)")
    for figure in try #require(outcome.json["figures"] as? [[String: Any]]) {
      #expect(abs((figure["value"] as! Double) - (figure["paper"] as! Double)) < 1e-4)
    }
    #expect(!FileManager.default.fileExists(atPath: scratch.file("r/smoke")))
  }

  @Test(arguments: [
    (["reproduce", "fig-2"], 64, "'fig-2' is not an item"), (["reproduce"], 64, "item"),
    (["reproduce", "table-2", "--scale", "huge"], 64, "huge"),
    (["reproduce", "table-2", "--methods", "fat"], 64, "no method 'fat'"),
    (["reproduce", "table-2", "--methods", "p-sat,,at"], 64, "no method ''"),
    (["reproduce", "table-2", "--settings", ""], 64, "no setting ''"),
    (["reproduce", "table-2", "--settings", "x"], 64, "no setting 'x'"),
    (["reproduce", "table-2", "--plan", "--csv", "f.csv"], 64, "--csv has nothing to write"),
    (["reproduce", "table-2", "--plan", "--epsilon", "1.5"], 1, "0 < epsilon <= 1"),
    (["reproduce", "table-2", "--plan", "--epsilon", "0"], 1, "0 < epsilon <= 1"),
    (["reproduce", "table-2", "--out", "/proc/nowhere"], 1, "/proc/nowhere"),
  ])
  func mistakesGetASentence(arguments: [String], status: Int32, word: String) throws {
    let outcome = try Command.run(arguments + (arguments.contains("/proc/nowhere") ? ["--methods", "p-sat"] : []))
    #expect(outcome.status == status && outcome.errors.contains(word), "\(outcome.errors)")
  }
}
