import Foundation
import SwiftTorch
import Testing

/// `sat evaluate` with its ensemble, its state and its files, and `sat verify`.
@Suite(.serialized, .timeLimit(.minutes(20))) struct AutoAttackCommandTests {
  /// A model that is saved once for all tests of the suite, and images it was made for.
  private func prepared(_ scratch: Scratch, count: Int = 24) throws -> (run: String, data: String) {
    (try EvaluateCommandTests.trained(scratch), try scratch.images("test.safetensors", count: count, seed: 5))
  }

  private func flags(_ outcome: Command.Outcome) throws -> [String: [Int]] {
    #expect(outcome.status == 0, "\(outcome.errors)")
    return try #require(outcome.json["flags"] as? [String: [Int]])
  }

  private func codes(_ outcome: Command.Outcome) -> [String] {
    (outcome.json["warnings"] as? [[String: String]] ?? []).compactMap { $0["code"] }
  }

  @Test func theEnsembleReportsEveryAttack() throws {
    let scratch = try Scratch()
    let (run, data) = try prepared(scratch, count: 5)
    let arguments = ["evaluate", run, "--data", data, "--attack", "autoattack", "--epsilon", "0.3", "--json"]
    let outcome = try Command.run(arguments + ["--records", scratch.file("r.jsonl"), "--robustbench", scratch.file("rb.json")])
    let all = try flags(outcome)
    #expect(Set(all.keys) == ["clean", "apgd-ce", "apgd-t", "fab-t", "square", "robust"])
    #expect(outcome.json["mode"] as? String == "fast" && outcome.json["version"] as? String == "standard")
    #expect(outcome.json["batchSize"] as? Int == 128)
    let attacks = try #require(outcome.json["attacks"] as? [[String: Any]])
    #expect(attacks.map { $0["name"] as? String } == ["apgd-ce", "apgd-t", "fab-t", "square"])
    for (attack, before) in zip(attacks, ["clean", "apgd-ce", "apgd-t", "fab-t"]) {
      let name = try #require(attack["name"] as? String)
      #expect(zip(all[name]!, all[before]!).allSatisfy { $0 <= $1 })
    }
    #expect(all["robust"] == all["square"])
    let lines = try String(contentsOfFile: scratch.file("r.jsonl"), encoding: .utf8).split(separator: "\n").map {
      try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] ?? [:]
    }
    #expect(lines.count == 5)
    for (sample, line) in lines.enumerated() {
      #expect(line["sample"] as? Int == sample)
      #expect((line["robust"] as? Bool) == (all["robust"]![sample] == 1))
      guard let attack = line["attack"] as? String else { continue }
      #expect(all[attack]![sample] == 0)
      #expect((line["norm"] as? Double)! <= 0.3 + 1e-6)
    }
    let entry =
      try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: scratch.file("rb.json")))) as? [String: Any]
    #expect(entry?["eps"] as? String == "0.3" && entry?["clean_acc"] is String && entry?["venue"] is NSNull)

    // With the batch size of the reference unless told otherwise, each attack by itself.
    let compat = try Command.run(
      [
        "evaluate", run, "--data", data, "--attack", "apgd-ce,square", "--version", "individual", "--mode", "compat", "--epsilon",
        "0.02", "--json",
      ])
    let individual = try flags(compat)
    #expect(compat.json["batchSize"] as? Int == 250)
    #expect(individual["robust"] == zip(individual["apgd-ce"]!, individual["square"]!).map { $0 * $1 })
  }

  /// SIGKILL at random moments, again and again, until the run gets through.
  @Test func aRunKilledAtRandomMomentsEndsWithTheSameFlags() throws {
    let scratch = try Scratch()
    let (run, data) = try prepared(scratch)
    let arguments = [
      "evaluate", run, "--data", data, "--attack", "apgd-ce,apgd-dlr,apgd-t", "--epsilon", "0.2", "--json", "--quiet", "--threads",
      "1",
    ]
    let whole = try Command.run(arguments + ["--batch-size", "5", "--save", scratch.file("whole.safetensors")])
    let expected = try flags(whole)
    #expect(Set(expected["clean"]!) != [0] && expected["robust"] != expected["clean"])
    var generator = SystemRandomNumberGenerator()
    var kills = 0
    var last: Command.Outcome?
    for attempt in 0..<40 {
      // Later attempts get the time to end.
      let pause = attempt < 10 ? Int.random(in: 300...1500, using: &generator) : 60_000
      let size = ["1", "5", "24"][attempt % 3]
      let outcome = try Command.run(
        arguments + ["--batch-size", size, "--state", scratch.file("state"), "--save", scratch.file("resumed.safetensors")],
        killingAfter: pause)
      if outcome.status == 0 {
        last = outcome
        break
      }
      kills += 1
    }
    let outcome = try #require(last)
    #expect(kills > 0)
    #expect(try flags(outcome) == expected)
    let (a, b) = (
      try SafeTensors.read(scratch.file("whole.safetensors")), try SafeTensors.read(scratch.file("resumed.safetensors"))
    )
    #expect((a["images"]! - b["images"]!).abs().max().item() < 1e-4)
    // The same state again: nothing is left to do.
    let again = try Command.run(arguments + ["--batch-size", "7", "--state", scratch.file("state")])
    #expect(try flags(again) == expected)
    let other = try Command.run(arguments + ["--state", scratch.file("state"), "--seed", "1"])
    #expect(other.status == 1 && other.sentence.contains("another seed"), "\(other.errors)")
  }

  @Test func whatWasSavedIsVerifiedAndTamperingIsFound() throws {
    let scratch = try Scratch()
    let (run, data) = try prepared(scratch)
    let saved = scratch.file("adv.safetensors")
    let outcome = try Command.run(
      ["evaluate", run, "--data", data, "--attack", "apgd-ce", "--epsilon", "0.2", "--save", saved, "--json"])
    let all = try flags(outcome)
    let broken = all["robust"]!.indices.filter { all["clean"]![$0] == 1 && all["robust"]![$0] == 0 }
    let kept = try #require(all["robust"]!.firstIndex(of: 1))
    let victim = try #require(broken.first)
    let good = try Command.run(["verify", saved, "--model-file", run, "--data", data, "--json"])
    #expect(good.status == 0, "\(good.output)\(good.errors)")
    #expect(good.json["holds"] as? Bool == true && good.json["adversarial"] as? Int == broken.count)
    #expect(((good.json["eightBit"] as? [String: Any])?["misclassified"] as? Int)! <= broken.count)

    let file = try SafeTensors.read(saved)
    func failed(_ change: (inout SafeTensors) -> Void) throws -> [String] {
      var copy = SafeTensors(tensors: file.tensors.map { ($0.name, $0.tensor.cloned()) }, metadata: file.metadata)
      change(&copy)
      try copy.write(to: scratch.file("tampered.safetensors"))
      let outcome = try Command.run(["verify", scratch.file("tampered.safetensors"), "--model-file", run, "--data", data, "--json"])
      #expect(outcome.status == 1, "\(outcome.output)")
      return (outcome.json["checks"] as? [[String: Any]] ?? []).filter { $0["holds"] as? Bool == false }.compactMap {
        $0["name"] as? String
      }
    }
    #expect(try failed { $0["images"]![victim].copyInPlace(from: $0["originals"]![victim]) } == ["batch", "alone"])
    #expect(try failed { $0["images"]![victim, 0, 0, 0].fillInPlace(1.5) }.contains("box"))
    #expect(try failed { $0["images"]![victim, 0, 0, 0].fillInPlace(Double.nan) }.contains("finite"))
    #expect(try failed { $0["images"]![victim, 0, 0, 0..<9].fillInPlace(0.999) }.contains("norm"))
    #expect(try failed { $0["images"]![kept, 0, 3, 3].addInPlace(Tensor(Float(0.01))) } == ["unchanged"])
    #expect(try failed { $0["originals"]![victim, 0, 0, 0].addInPlace(Tensor(Float(0.001))) }.contains("data"))
    let flipped = file.metadata["sat.evaluation"]!
    #expect(flipped.contains("\"epsilon\" : 0.2"))
    #expect(
      try failed {
        $0.metadata["sat.evaluation"] = flipped.replacingOccurrences(of: "\"epsilon\" : 0.2", with: "\"epsilon\" : 0.05")
      }.contains("norm"))

    // The document's own figures, against its flags and labels.
    let stated = outcome.output
    let document = try #require(JSONSerialization.jsonObject(with: Data(stated.utf8)) as? [String: Any])
    func edited(_ change: (inout [String: Any]) -> Void) throws -> [String] {
      var copy = document
      change(&copy)
      let text = String(decoding: try JSONSerialization.data(withJSONObject: copy), as: UTF8.self)
      return try failed { $0.metadata["sat.evaluation"] = text }
    }
    func part(_ name: String, _ key: String, _ value: Any) throws -> [String] {
      try edited {
        var inner = $0[name] as! [String: Any]
        inner[key] = value
        $0[name] = inner
      }
    }
    #expect(try part("robust", "correct", 24) == ["document"] && part("robust", "accuracy", 0.99) == ["document"])
    #expect(try part("clean", "interval", [0.5, 0.6]) == ["document"] && part("data", "samples", 1000) == ["document"])
    #expect(try edited { $0["perClass"] = Array(($0["perClass"] as! [Any]).dropLast()) } == ["document"])
    #expect(try edited { $0["robust"] = nil } == ["document"])
    #expect(
      try edited {
        var attack = ($0["attacks"] as! [[String: Any]])[0]
        attack["robust"] = 23
        $0["attacks"] = [attack]
      } == ["document"])
    // A document of another version, or without a part that every one has, is refused.
    for (key, value, words) in [
      ("format", "x/1" as Any?, "is x/1, but this version of sat reads sat-evaluation/1"), ("seed", nil, "lacks 'seed'"),
    ] {
      #expect(try edited { $0[key] = value } == [])
      let outcome = try Command.run(["verify", scratch.file("tampered.safetensors"), "--model-file", run])
      #expect(
        outcome.status == 1 && outcome.sentence.contains("tampered.safetensors: its evaluation") && outcome.sentence.contains(words)
      )
    }

    let mistakes: [([String], Int32, String)] = [
      ([data, "--model-file", run], 1, "sat evaluate --save"), ([scratch.file("none"), "--model-file", run], 1, "none"),
      ([saved], 64, "model-file"), ([saved, "--model-file", scratch.file("nowhere")], 1, "nowhere"),
    ]
    for (arguments, status, word) in mistakes {
      let outcome = try Command.run(["verify"] + arguments)
      #expect(outcome.status == status && outcome.errors.contains(word), "\(arguments): \(outcome.errors)")
    }
  }

  // MARK: Misuse

  /// A network of so many classes that answers by the brightness of quarters, saved like ours.
  private func network(_ scratch: Scratch, classes: Int) throws -> String {
    let path = scratch.file("classes-\(classes).safetensors")
    let generator = Generator(seed: 3)
    func weight(_ shape: [Int]) -> Tensor { Tensor.randn(shape, generator: generator) * 0.1 }
    try SafeTensors(
      tensors: [
        ("conv1.weight", weight([64, 1, 8, 8])), ("conv1.bias", weight([64])), ("conv2.weight", weight([128, 64, 6, 6])),
        ("conv2.bias", weight([128])), ("conv3.weight", weight([128, 128, 5, 5])), ("conv3.bias", weight([128])),
        ("fc.weight", weight([classes, 2048])), ("fc.bias", weight([classes])),
      ], metadata: ["sat.architecture": "mnist-cnn", "sat.options": "{\"classes\": \"\(classes)\"}"]
    ).write(to: path)
    return path
  }

  @Test(arguments: [2, 3, 4])
  func fewClassesRunWhatIsDefined(classes: Int) throws {
    let scratch = try Scratch()
    let model = try network(scratch, classes: classes)
    let images = Tensor.rand([3, 1, 28, 28], generator: Generator(seed: 1))
    try SafeTensors(tensors: [("images", images), ("labels", Tensor([0, 1, 1]))]).write(to: scratch.file("d.safetensors"))
    let arguments = ["evaluate", model, "--data", scratch.file("d.safetensors"), "--epsilon", "0.5", "--json"]
    let outcome = try Command.run(arguments + ["--attack", "autoattack"])
    let names = (outcome.json["attacks"] as? [[String: Any]] ?? []).compactMap { $0["name"] as? String }
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(names == (classes < 4 ? ["apgd-ce", "fab-t", "square"] : ["apgd-ce", "apgd-t", "fab-t", "square"]))
    #expect(codes(outcome).contains("few-classes"))
    guard classes < 4 else { return }
    let alone = try Command.run(arguments + ["--attack", "apgd-t"])
    #expect(alone.status == 1 && alone.sentence.contains("at least 4 classes"), "\(alone.errors)")
  }

  @Test func smallAndBrokenBatchesAreEvaluated() throws {
    let scratch = try Scratch()
    let (run, data) = try prepared(scratch)
    func evaluate(_ arguments: [String]) throws -> Command.Outcome {
      try Command.run(["evaluate", run, "--attack", "autoattack", "--epsilon", "0.3", "--json"] + arguments)
    }
    // One image; and batches of one.
    _ = try flags(try evaluate(["--data", data, "--first", "1"]))
    let single = try flags(try evaluate(["--data", data, "--first", "3", "--batch-size", "1"]))
    #expect(try flags(try evaluate(["--data", data, "--first", "3"])) == single)
    // Everything is wrong before any attack.
    let file = try SafeTensors.read(data)
    let wrong = (file["labels"]! + 1).remainder(4)
    try SafeTensors(tensors: [("images", file["images"]!), ("labels", wrong)]).write(to: scratch.file("wrong.safetensors"))
    let outcome = try evaluate(["--data", scratch.file("wrong.safetensors"), "--first", "6"])
    #expect((outcome.json["robust"] as? [String: Any])?["correct"] as? Int == 0)
    #expect((outcome.json["attacks"] as? [[String: Any]] ?? []).allSatisfy { $0["forward"] as? Int == 0 })
    #expect((outcome.json["attacks"] as? [[String: Any]])?.count == 4)
  }

  @Test func mistakesGetASentence() throws {
    let scratch = try Scratch()
    let (run, data) = try prepared(scratch, count: 4)
    let cases: [([String], Int32, [String])] = [
      (["--attack", "autoattack", "--version", "custom"], 64, ["custom", "name its attacks"]),
      (["--attack", "square", "--version", "standard", "--restarts", "0"], 64, ["restarts"]),
      (["--attack", "square,square"], 64, ["twice"]), (["--attack", "square", "--mode", "slow"], 64, ["slow"]),
      (["--attack", "square", "--version", "extra"], 64, ["extra"]),
      (["--attack", "square", "--state", data], 1, [data, "an input of this command"]),
      (["--attack", "square", "--norm", "l0"], 64, ["l0"]), (["--attack", "pgd", "--targets", "-1"], 64, ["targets"]),
    ]
    for (arguments, status, words) in cases {
      let outcome = try Command.run(["evaluate", run, "--data", data, "--epsilon", "0.1"] + arguments)
      #expect(outcome.status == status, "\(arguments): \(outcome.errors)")
      for word in words { #expect(outcome.errors.contains(word), "\(arguments): \(outcome.errors)") }
      #expect(!outcome.errors.contains("Fatal error"))
    }
  }

  /// An archive that adds noise of its own, which no generator of ours feeds.
  @Test func aSeedMakesAModelThatDrawsRepeatable() throws {
    let scratch = try Scratch()
    let images = Tensor.rand([48, 1, 6, 6], generator: Generator(seed: 2))
    let data = scratch.file("data.safetensors")
    try SafeTensors(tensors: [("images", images), ("labels", Tensor.randint(0..<4, [48], generator: Generator(seed: 3)))]).write(
      to: data)
    let archive = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
      "../Fixtures/files/odd-noise.ts"
    ).path
    func flags(_ mode: String, seed: Int) throws -> [String: [Int]]? {
      let outcome = try Command.run([
        "evaluate", archive, "--data", data, "--attack", "apgd-ce", "--steps", "5", "--epsilon", "0.02", "--batch-size", "20",
        "--mode", mode, "--seed", "\(seed)", "--json",
      ])
      #expect(outcome.status == 0, "\(outcome.errors)")
      return outcome.json["flags"] as? [String: [Int]]
    }
    let compat = try #require(try flags("compat", seed: 1))
    #expect(try flags("compat", seed: 1) == compat)
    #expect(try flags("compat", seed: 2) != compat, "one pass decides")
    let fast = try #require(try flags("fast", seed: 1))
    #expect(try flags("fast", seed: 1) == fast)
  }
}
