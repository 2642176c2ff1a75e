import Foundation
import SwiftTorch
import Testing

/// Small enough for seconds: 60 synthetic images, three steps of the inner attack.
private let small = [
  "--batch-size", "32", "--set", "attack.steps=3", "--set", "attack.stepSize=0.05", "--epsilon", "0.1", "--threads", "1",
]

@Suite(.serialized, .timeLimit(.minutes(20))) struct TrainCommandTests {
  func train(_ scratch: Scratch, _ extra: [String], run: String = "run") throws -> Command.Outcome {
    let data = scratch.file("train.safetensors")
    if !FileManager.default.fileExists(atPath: data) { _ = try scratch.images("train.safetensors", count: 66) }
    return try Command.run(["train", "digits", "--data", data, "--run", scratch.file(run)] + small + extra)
  }

  func lines(_ path: String) throws -> [[String: Any]] {
    try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
      try JSONSerialization.jsonObject(with: Data($0.utf8)) as! [String: Any]
    }
  }

  func weights(_ run: String, _ checkpoint: String = "last") throws -> [String: [Float]] {
    let file = try SafeTensors.read("\(run)/\(checkpoint)/weights.safetensors")
    return Dictionary(uniqueKeysWithValues: file.tensors.map { ($0.name, $0.tensor.array(of: Float.self)) })
  }

  @Test func aRunLeavesWhatItShould() throws {
    let scratch = try Scratch()
    let outcome = try train(scratch, ["--epochs", "2", "--json"])
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.json["format"] as? String == "sat-training/1")
    let run = scratch.file("run")
    let metrics = try lines(run + "/metrics.jsonl")
    #expect(metrics.map { $0["epoch"] as? Int } == [0, 1])
    for key in [
      "lambda", "learningRate", "train", "validation", "perturbation", "active", "gradientNorm", "seconds", "samplesPerSecond",
    ] {
      #expect(metrics[1][key] != nil, "metrics.jsonl lacks \(key)")
    }
    #expect((metrics[1]["active"] as? [Double])?.count == 3)
    let largest = (metrics[1]["perturbation"] as? [String: Double])?["max"] ?? 1
    #expect(largest > 0.05 && largest <= 0.1 + 1e-6)
    #expect(try weights(run).count == 8)
    #expect(try !weights(run, "best").isEmpty)
    #expect(try FileManager.default.contentsOfDirectory(atPath: run + "/checkpoints").allSatisfy { !$0.hasPrefix(".") })
    let again = try train(scratch, ["--epochs", "2"])
    #expect(again.status == 1)
    #expect(again.sentence.contains("already holds a run") && again.sentence.contains("--resume"))
  }

  @Test func theSameSeedGivesTheSameRun() throws {
    let scratch = try Scratch()
    for run in ["a", "b"] { #expect(try train(scratch, ["--epochs", "1"], run: run).status == 0) }
    #expect(try train(scratch, ["--epochs", "1", "--seed", "1"], run: "c").status == 0)
    let (a, b, c) = (try weights(scratch.file("a")), try weights(scratch.file("b")), try weights(scratch.file("c")))
    #expect(a == b)
    #expect(a != c)
  }

  @Test func aScheduleThatTheRunIsTooShortForIsNoticed() throws {
    let scratch = try Scratch()
    let short = try train(scratch, ["--epochs", "1"])
    #expect(
      short.status == 0 && short.errors.contains("lambda is 0 in the last epoch of this run and comes to 1 only in epoch 11"),
      "\(short.errors)")
    // The message advises a setting.
    let advice = try #require(short.errors.split(separator: "'").first { $0.hasPrefix("lambda={") }.map(String.init))
    let advised = try train(scratch, ["--epochs", "1", "--set", advice], run: "advised")
    #expect(advised.status == 0 && !advised.errors.contains("in the last epoch of this run"), "\(advised.errors)")
    let whole = try train(scratch, ["--epochs", "1", "--set", "lambda={kind: constant, value: 1}"], run: "whole")
    #expect(whole.status == 0 && !whole.errors.contains("in the last epoch of this run"), "\(whole.errors)")
    let other = try train(scratch, ["--resume", "--method", "at"])
    #expect(other.status == 1 && other.sentence.contains("method was p-sat, is at"), "\(other.sentence)")
    let preset = try Command.run(["train", "mnist-0.3", "--run", scratch.file("run"), "--resume"])
    #expect(preset.status == 1 && preset.sentence.contains("a run of the preset digits, not of mnist-0.3"), "\(preset.sentence)")
    let mistyped = try train(scratch, ["--set", "attack.steps=abc"], run: "mistyped")
    #expect(mistyped.status == 1 && mistyped.sentence.contains("expected a whole number"), "\(mistyped.sentence)")
  }

  @Test func theAttacksPrecisionFollowsTheProcessorWhereAsked() throws {
    let scratch = try Scratch()
    #expect(try train(scratch, ["--epochs", "1", "--attack-precision", "auto"]).status == 0)
    let processor = try String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)
    let hasBFloat16 = processor.contains("_bf16") || processor.split { $0.isWhitespace }.contains("bf16")
    let configuration = try String(contentsOfFile: scratch.file("run/config.yaml"), encoding: .utf8)
    #expect(configuration.contains("attackPrecision: \(hasBFloat16 ? "bf16" : "fp32")"))
    #expect(configuration.contains("\n  precision: fp32"))
  }

  @Test func lambdaOneIsATBitForBit() throws {
    let scratch = try Scratch()
    #expect(try train(scratch, ["--epochs", "2", "--method", "at"], run: "at").status == 0)
    #expect(try train(scratch, ["--epochs", "2", "--set", "lambda={kind: constant, value: 1}"], run: "sat").status == 0)
    #expect(try train(scratch, ["--epochs", "2", "--set", "lambda={kind: constant, value: 0}"], run: "easy").status == 0)
    let at = try weights(scratch.file("at"))
    #expect(try weights(scratch.file("sat")) == at)
    #expect(try weights(scratch.file("easy")) != at)
  }

  @Test func aResumedRunEndsWhereAnUninterruptedOneDoes() throws {
    let scratch = try Scratch()
    #expect(try train(scratch, ["--epochs", "3"], run: "whole").status == 0)
    #expect(try train(scratch, ["--epochs", "1"], run: "parts").status == 0)
    let resumed = try Command.run(["train", "--run", scratch.file("parts"), "--resume", "--epochs", "3"])
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(try weights(scratch.file("parts")) == weights(scratch.file("whole")))
    let metrics = try (lines(scratch.file("parts") + "/metrics.jsonl"), lines(scratch.file("whole") + "/metrics.jsonl"))
    #expect(metrics.0.count == 3)
    for (a, b) in zip(metrics.0, metrics.1) {
      #expect((a["train"] as? [String: Double]) == (b["train"] as? [String: Double]))
      #expect((a["validation"] as? [String: Double]) == (b["validation"] as? [String: Double]))
    }
  }

  @Test func resumingRefusesAnotherConfiguration() throws {
    let scratch = try Scratch()
    #expect(try train(scratch, ["--epochs", "1"]).status == 0)
    let outcome = try Command.run(["train", "--run", scratch.file("run"), "--resume", "--epsilon", "0.2"])
    #expect(outcome.status == 1)
    #expect(outcome.sentence.contains("change the configuration"))
    let absent = try Command.run(["train", "--run", scratch.file("nowhere"), "--resume"])
    #expect(absent.status == 1)
    #expect(absent.sentence.contains("no run to resume"))
  }

  @Test func interruptingKeepsWhatWasDone() throws {
    let scratch = try Scratch()
    let data = try scratch.images("train.safetensors", count: 66)
    let arguments = ["train", "digits", "--data", data, "--run", scratch.file("run"), "--epochs", "100000"] + small
    let outcome = try Command.run(arguments, interruptingBy: SIGINT, onceThereIs: scratch.file("run/metrics.jsonl"))
    #expect(outcome.status == 130, "\(outcome.errors)")
    #expect(outcome.errors.contains("--resume"))
    #expect(try !weights(scratch.file("run")).isEmpty)
  }

  @Test func aFullDiskLeavesTheOldCheckpoint() throws {
    let scratch = try Scratch()
    #expect(try train(scratch, ["--epochs", "1"]).status == 0)
    let before = try weights(scratch.file("run"))
    // 512 KiB at most per file: the weights take 2.9 MB.
    let outcome = try Command.shell(#"ulimit -f 512; "$SAT" train --run run --resume --epochs 2"#, in: scratch.path)
    #expect(outcome.status == 1, "\(outcome.errors)")
    #expect(outcome.sentence.contains("weights.safetensors"), "\(outcome.errors)")
    #expect(outcome.sentence.split(separator: "\n").count == 1)
    #expect(try weights(scratch.file("run")) == before)
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.file("run/checkpoints")).count == 1)
  }

  @Test(arguments: [
    (["train", "nonsense"], 1, "preset 'nonsense'"), (["train"], 64, "preset"),
    (["train", "digits", "--epsilon", "0"], 1, "epsilon 0"),
    (["train", "digits", "--epsilon", "1.5"], 1, "epsilon 1.5"), (["train", "digits", "--epsilon", "x"], 64, "epsilon"),
    (["train", "digits", "--method", "magic"], 1, "method 'magic'"), (["train", "digits", "--model", "vgg"], 1, "vgg"),
    (["train", "digits", "--data", "/nonexistent.npz"], 1, "/nonexistent.npz"), (["train", "digits", "--set", "a.b=1"], 1, "a.b"),
    (["train", "digits", "--config", "/nonexistent.yaml"], 1, "/nonexistent.yaml"), (["train", "digits", "--bogus"], 64, "bogus"),
    (["train", "digits", "--device", "tpu"], 1, "tpu"), (["train", "digits", "--device", "cuda:99"], 1, "cuda:99"),
    (["train", "digits", "--run", "/proc/nowhere"], 1, "/proc/nowhere"), (["train", "digits", "--threads", "0"], 64, "threads"),
  ])
  func mistakesGetASentence(arguments: [String], status: Int32, word: String) throws {
    let scratch = try Scratch()
    let outcome = try Command.run(arguments + (arguments.contains("--run") ? [] : ["--run", scratch.file("run")]))
    #expect(outcome.status == status, "\(outcome.errors)")
    #expect(outcome.errors.contains(word), "\(outcome.errors)")
    #expect(!outcome.errors.contains("Fatal error"))
    if status == 1 { #expect(outcome.sentence.split(separator: "\n").count == 1) }
    #expect(!FileManager.default.fileExists(atPath: scratch.file("run")), "nothing half-written")
  }

  @Test func aConfigurationFileChangesThePreset() throws {
    let scratch = try Scratch()
    try "epochs: 1\noptimizer: {learningRate: 0.5}\n".write(toFile: scratch.file("c.yaml"), atomically: true, encoding: .utf8)
    let outcome = try train(scratch, ["--config", scratch.file("c.yaml"), "--set", "optimizer.momentum=0.5"])
    #expect(outcome.status == 0, "\(outcome.errors)")
    let saved = try String(contentsOfFile: scratch.file("run/config.yaml"), encoding: .utf8)
    #expect(saved.contains("learningRate: 5e-1") || saved.contains("learningRate: 0.5"), "\(saved)")
    #expect(saved.contains("momentum: 5e-1") || saved.contains("momentum: 0.5"), "\(saved)")
  }
}
