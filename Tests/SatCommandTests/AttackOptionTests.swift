import Foundation
import SwiftTorch
import Testing

/// The parameters of attacks on the command line: they reach the attacks that have them, and are refused for the others.
@Suite(.serialized, .timeLimit(.minutes(10))) struct AttackOptionTests {
  /// The passes are a product of the parameters, because the attacks break no sample.
  @Test(arguments: ["fast", "compat"])
  func parametersReachTheAttacks(mode: String) throws {
    let scratch = try Scratch()
    let (model, data) = try scratch.untrained(count: 6)
    let outcome = try Command.run([
      "evaluate", model, "--data", data, "--attack", "apgd-ce,apgd-dlr,apgd-t,square", "--version", "custom", "--mode", mode,
      "--epsilon", "1e-7",
      "--steps", "3", "--restarts", "2", "--targets", "2", "--eot", "4", "--queries", "5", "--json", "--quiet", "--threads", "1",
    ])
    #expect(outcome.status == 0 && outcome.json["version"] as? String == "custom", "\(outcome.errors)")
    let attacks = try #require(outcome.json["attacks"] as? [[String: Any]])
    #expect(attacks.map { $0["robust"] as? Int } == [6, 6, 6, 6])
    // Samples, restarts, averaged passes and steps; over both targets.
    let once = 6 * 2 * 4 * 3
    #expect(attacks.map { $0["backward"] as? Int } == [once, once, 2 * once, 0])
    // A pass at the start of every run besides; in compat a pass decides a flag.
    let looks = 6 * 2 * 4 * 4
    #expect(attacks.prefix(3).map { $0["forward"] as? Int } == [looks, looks, 2 * looks])
    #expect((attacks[3]["forward"] as? Int)! <= 6 * 2 * 6)
    let parameters = attacks.map { $0["parameters"] as? [String: Any] ?? [:] }
    #expect(parameters[2] as NSDictionary == ["steps": 3, "restarts": 2, "targets": 2, "eot": 4, "loss": "dlr"] as NSDictionary)
    #expect(parameters[3] as NSDictionary == ["restarts": 2, "queries": 5] as NSDictionary)
  }

  @Test func aStateIsOfItsParameters() throws {
    let scratch = try Scratch()
    let (model, data) = try scratch.untrained(count: 2)
    let line = [
      "evaluate", model, "--data", data, "--attack", "apgd-ce,square", "--epsilon", "0.01", "--state", scratch.file("state"),
      "--quiet",
      "--threads", "1",
    ]
    #expect(try Command.run(line + ["--steps", "2", "--queries", "3"]).status == 0)
    #expect(try Command.run(line + ["--steps", "2", "--queries", "3"]).status == 0)
    for other in [
      ["--steps", "3", "--queries", "3"], ["--steps", "2", "--queries", "4"], ["--steps", "2", "--queries", "3", "--eot", "2"],
    ] {
      let outcome = try Command.run(line + other)
      #expect(outcome.status == 1 && outcome.sentence.contains("with another attack"), "\(other): \(outcome.errors)")
    }
  }

  @Test func whatNoAttackCanUseIsRefused() throws {
    let scratch = try Scratch()
    let (model, data) = try scratch.untrained(count: 2)
    let cases: [(String, [String])] = [
      ("--attack pgd --version plus", ["--version plus", "pgd"]), ("--attack fgsm --restarts 3", ["--restarts", "fgsm", "--loss"]),
      ("--attack fgsm --steps 3", ["--steps"]), ("--attack square --step-size 0.1", ["--step-size", "--queries"]),
      ("--attack apgd-ce --loss dlr", ["--loss", "apgd-ce"]), ("--attack pgd --queries 5", ["--queries"]),
      ("--attack fab-t --eot 2", ["--eot"]),
      ("--attack fab --targets 2", ["--targets"]), ("--attack apgd-t --targets 0", ["--targets is 0"]),
      ("--attack apgd-t --targets 4", ["4 classes", "at most 3"]), ("--attack pgd --targets 30", ["at most 3"]),
      ("--attack autoattack --steps 3", ["version standard", "name the attacks"]),
      ("--version rand --steps 3", ["version rand", "name the attacks"]),
      ("--version individual --steps 3", ["version individual", "name the attacks"]), ("--version custom", ["name its attacks"]),
      ("--attack apgd-ce --version rand --eot 3", ["version rand"]),
      ("--attack square --version plus --queries 3", ["version plus"]),
      ("--attack clean --steps 3", ["--steps", "clean"]),
      ("--attack clean --state s", ["--state"]),
      ("--attack pgd --set queries=5", ["--queries", "pgd", "--step-size"]),
      ("--attack pgd --set weight=5", ["--set weight", "pgd"]),
      ("--attack pgd --set steps", ["--set steps", "name=value"]),
      ("--attack pgd --steps 3 --set steps=4", ["--set steps=4", "second time"]),
      ("--attack square --set queries=0", ["--queries is 0", "1 to"]), ("--attack clean --set steps=3", ["--steps", "clean"]),
      ("--attack clean --robustbench rb", ["--robustbench"]), ("--attack pgd --robustbench rb", ["autoattack_acc"]),
      ("--attack autoattack,pgd --robustbench rb", ["autoattack_acc"]),
      ("--attack autoattack --version rand --robustbench rb", ["autoattack_acc"]),
      ("--attack apgd-ce,apgd-t,fab-t,square --queries 10 --robustbench rb", ["autoattack_acc"]),
      ("--attack pgd --partial", ["--partial", "--robustbench"]), ("--attack pgd --norm l2 --steps -3", ["--steps is -3"]),
      ("--attack clean --split train", ["--split train", "no parts"]),
      ("--attack clean --checkpoint last", ["--checkpoint last", "one model"]),
    ]
    for (options, words) in cases {
      let typed = options.split(separator: " ").map(String.init)
      let radius = options.contains("clean") ? [] : ["--epsilon", "0.1"]
      let outcome = try Command.run(["evaluate", model, "--data", data, "--quiet"] + typed + radius, in: scratch.path)
      #expect(outcome.status == 64 && outcome.output.isEmpty, "\(options): \(outcome)")
      for word in words { #expect(outcome.sentence.contains(word), "\(options): \(outcome.errors)") }
      #expect(
        outcome.errors.contains("Usage: sat evaluate ") && outcome.errors.contains("See 'sat evaluate --help'"),
        "\(options): \(outcome.errors)")
    }
    // With four classes the ensemble has three targets, so the result is no leaderboard entry.
    let few = try Command.run(
      ["evaluate", model, "--data", data, "--epsilon", "0.1", "--attack", "autoattack", "--robustbench", "rb", "--state", "s"],
      in: scratch.path)
    #expect(few.status == 1 && few.sentence.contains("3 target classes"), "\(few.errors)")
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: scratch.path).sorted() == ["images.safetensors", "model.safetensors"])
  }

  /// A radius changes no clean accuracy, so it earns a note instead of an error.
  @Test func aRadiusWithoutAnAttackEarnsANote() throws {
    let scratch = try Scratch()
    let (model, data) = try scratch.untrained(count: 2)
    let outcome = try Command.run(["evaluate", model, "--data", data, "--attack", "clean", "--epsilon", "0.3"])
    #expect(outcome.status == 0 && outcome.errors.contains("note: --epsilon has no effect"), "\(outcome.errors)")
  }

  @Test func slipsOfTheCommandLineAreNamed() throws {
    let misspelled = try Command.run(["evalute", "model.pt"])
    #expect(misspelled.status == 1 && misspelled.sentence.contains("did you mean 'evaluate'?"), "\(misspelled.errors)")
    let scratch = try Scratch()
    let (model, data) = try scratch.untrained(count: 2)
    let negative = try Command.run(["evaluate", model, "--data", data, "--epsilon", "-0.3"])
    #expect(negative.status != 0 && negative.errors.contains("-0.3"), "\(negative.errors)")
    #expect(!negative.errors.contains("Missing value"), "\(negative.errors)")
  }

  /// A parameter's name does what its option does.
  @Test func setReachesWhatOptionsReach() throws {
    let scratch = try Scratch()
    let (model, data) = try scratch.untrained(count: 2)
    func parameters(_ typed: [String]) throws -> NSArray {
      let outcome = try Command.run(
        ["evaluate", model, "--data", data, "--attack", "pgd,apgd-ce,square", "--epsilon", "0.001", "--json", "--quiet"] + typed)
      #expect(outcome.status == 0, "\(outcome.errors)")
      return try #require(outcome.json["attacks"] as? [[String: Any]]).map { $0["parameters"] as? [String: Any] ?? [:] } as NSArray
    }
    let named = try parameters(["--set", "steps=3", "--set", "queries=4", "--set", "loss=margin"])
    #expect(try named == parameters(["--steps", "3", "--queries", "4", "--loss", "margin"]))
  }

  /// Each attack of a list receives only the options that it can use.
  @Test func aListTakesTheOptionsOfItsMembers() throws {
    let scratch = try Scratch()
    let (model, data) = try scratch.untrained(count: 2)
    let outcome = try Command.run([
      "evaluate", model, "--data", data, "--attack", "fgsm,pgd,square", "--epsilon", "0.001", "--restarts", "3", "--steps", "2",
      "--loss", "margin",
      "--queries", "4", "--json", "--quiet",
    ])
    let parameters = try #require(outcome.json["attacks"] as? [[String: Any]]).map { $0["parameters"] as? [String: Any] ?? [:] }
    #expect(parameters.map { $0["restarts"] as? Int } == [1, 3, 3] && parameters.map { $0["steps"] as? Int } == [1, 2, nil])
    #expect(parameters.prefix(2).map { $0["loss"] as? String } == ["margin", "margin"])
    // The ensemble keeps its own beside PGD's.
    let both = try Command.run([
      "evaluate", model, "--data", data, "--attack", "autoattack,pgd", "--epsilon", "1", "--steps", "2", "--json", "--quiet",
    ])
    let kept = try #require(both.json["attacks"] as? [[String: Any]]).map { ($0["parameters"] as? [String: Any])?["steps"] as? Int }
    #expect(both.json["version"] as? String == "standard" && kept == [100, 100, 100, nil, 2], "\(both.errors)")
  }
}
