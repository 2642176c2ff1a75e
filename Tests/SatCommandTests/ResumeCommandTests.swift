import Foundation
import SwiftTorch
import Testing

/// Small enough for seconds: 44 synthetic images, four batches an epoch, a checkpoint after every batch.
private let small = [
  "--epochs", "3", "--batch-size", "10", "--epsilon", "0.1", "--set", "attack.steps=2", "--set", "attack.stepSize=0.05", "--model",
  "cnn-a",
  "--model-option", "channels=1", "--set", "checkpoints.minutes=0", "--set", "averaging.kind=ema", "--log-steps", "--threads", "1",
]

/// A real `sat train` that is killed or interrupted while it works.
@Suite(.serialized, .timeLimit(.minutes(20))) struct ResumeCommandTests {
  private func weights(_ run: String) throws -> [String: [Float]] {
    let file = try SafeTensors.read("\(run)/last/weights.safetensors")
    return Dictionary(uniqueKeysWithValues: file.tensors.map { ($0.name, $0.tensor.array(of: Float.self)) })
  }

  /// Lines of metrics.jsonl or steps.jsonl without what a clock put there.
  private func lines(_ path: String) throws -> [NSDictionary] {
    try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map { line in
      var object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      for key in ["seconds", "dataSeconds", "processorSeconds", "samplesPerSecond", "time"] { object[key] = nil }
      return object as NSDictionary
    }
  }

  /// SAT_TEST_KILLS sets the number of kills: 20 to show the project's promise; the default is 4.
  @Test func aRunKilledAnywhereEndsAsOneNeverKilled() throws {
    let kills = ProcessInfo.processInfo.environment["SAT_TEST_KILLS"].flatMap(Int.init) ?? 4
    let scratch = try Scratch()
    let data = try scratch.images("train.safetensors", count: 44)
    let clock = ContinuousClock()
    let start = clock.now
    let whole = try Command.run(["train", "digits", "--data", data, "--run", scratch.file("whole")] + small)
    #expect(whole.status == 0, "\(whole.errors)")
    let seconds = (clock.now - start) / .seconds(1)

    let generator = Generator(seed: 20)
    let run = scratch.file("killed")
    var killed = 0
    for attempt in 0... {
      #expect(attempt < 20 * kills, "the run was never killed often enough")
      guard attempt < 20 * kills else { break }
      let begun = FileManager.default.fileExists(atPath: "\(run)/config.yaml")
      let arguments = begun ? ["train", "--run", run, "--resume"] : ["train", "digits", "--data", data, "--run", run] + small
      if killed == kills {
        let last = try Command.run(arguments)
        #expect(last.status == 0, "\(last.errors)")
        break
      }
      // Anywhere from the program's start to the end of the run; a folder that is done is begun once more.
      let delay = Tensor.rand([1], generator: generator).item() * seconds
      let outcome = try Command.run(arguments, killingAfter: delay)
      if outcome.status == 0 {
        try expectSame(run, scratch.file("whole"))
        try FileManager.default.removeItem(atPath: run)
      } else {
        #expect(outcome.status == SIGKILL, "\(outcome.errors)")
        killed += 1
      }
    }
    try expectSame(run, scratch.file("whole"))
    print("killed \(killed) times in a run of \(seconds) s")
  }

  private func expectSame(_ run: String, _ whole: String) throws {
    #expect(try weights(run) == weights(whole))
    for name in ["metrics.jsonl", "steps.jsonl"] { #expect(try lines("\(run)/\(name)") == lines("\(whole)/\(name)")) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: "\(run)/checkpoints").allSatisfy { !$0.hasPrefix(".") })
    #expect(try FileManager.default.contentsOfDirectory(atPath: run).filter { $0.hasPrefix("events.") }.count == 1)
  }

  @Test func ctrlCKeepsThePlaceInsideAnEpoch() throws {
    let scratch = try Scratch()
    let data = try scratch.images("train.safetensors", count: 600)
    func arguments(_ run: String) -> [String] {
      ["train", "digits", "--data", data, "--run", scratch.file(run)] + small + [
        "--set", "checkpoints.minutes=60", "--set", "attack.steps=20",
      ]
    }
    // Nothing else saves a checkpoint inside the epoch, so the checkpoint is that of Ctrl-C.
    let outcome = try Command.run(
      arguments("parts"), interruptingBy: SIGINT, onceThereIs: scratch.file("parts/steps.jsonl"), holdingBytes: 400)
    #expect(outcome.status == 130, "\(outcome.errors)")
    #expect(outcome.errors.contains("of epoch 1") && outcome.errors.contains("--resume"), "\(outcome.errors)")
    let done = try lines(scratch.file("parts/steps.jsonl")).count
    #expect(done > 0 && done < 54)
    #expect(try String(contentsOfFile: scratch.file("parts/metrics.jsonl"), encoding: .utf8).isEmpty)
    #expect(try Command.run(["train", "--run", scratch.file("parts"), "--resume", "--epochs", "1"]).status == 0)
    #expect(try Command.run(arguments("whole") + ["--epochs", "1"]).status == 0)
    #expect(try weights(scratch.file("parts")) == weights(scratch.file("whole")))
    #expect(try lines(scratch.file("parts/steps.jsonl")) == lines(scratch.file("whole/steps.jsonl")))
  }

  @Test func aChangedConfigurationIsNamed() throws {
    let scratch = try Scratch()
    let data = try scratch.images("train.safetensors", count: 44)
    let run = scratch.file("run")
    #expect(try Command.run(["train", "digits", "--data", data, "--run", run] + small + ["--epochs", "1"]).status == 0)
    let typed = try Command.run(["train", "--run", run, "--resume", "--set", "optimizer.learningRate=0.5"])
    #expect(typed.status == 1 && typed.sentence.contains("optimizer.learningRate was 0.01, is 0.5"), "\(typed.errors)")
    let file = "\(run)/config.yaml"
    let text = try String(contentsOfFile: file, encoding: .utf8)
    try text.replacingOccurrences(of: "steps: 2", with: "steps: 3").write(toFile: file, atomically: true, encoding: .utf8)
    let edited = try Command.run(["train", "--run", run, "--resume", "--epochs", "2"])
    #expect(edited.status == 1 && edited.sentence.contains("attack.steps was 2, is 3"), "\(edited.errors)")
    #expect(edited.sentence.split(separator: "\n").count == 1)
  }
}
