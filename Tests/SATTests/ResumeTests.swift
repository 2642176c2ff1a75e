import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// An interrupted run ends like an uninterrupted one, bit for bit, at every point of interruption.
@Suite struct ResumeTests {
  @Test(arguments: ["plain", "ema", "swa", "adam", "augmented"])
  func afterAnyBatch(kind: String) throws {
    let scratch = try TrainingScratch()
    var configuration = try scratch.configuration()
    configuration.logSteps = true
    configuration.learningRateSchedule = .init(kind: kind == "plain" ? .cyclic : .multiStep, milestones: [1])
    switch kind {
    case "ema": configuration.averaging = .init(kind: .ema, decay: 0.8, start: 1)
    case "swa": configuration.averaging = .init(kind: .swa)
    case "adam":
      configuration.optimizer.name = .adam
      configuration.optimizer.learningRate = 1e-3
    case "augmented": configuration.augmentation = .paper
    default: break
    }
    let whole = try scratch.trainer(configuration, run: "whole")
    #expect(try whole.run(observer: Watch()) == .finished)
    #expect(whole.stepsDone == 10)

    // The interruptions are in the first epoch, at its end, and in the second epoch.
    for stop in kind == "plain" ? Array(1..<10) : [2, 5, 7] {
      let run = "stopped-\(stop)"
      let first = try scratch.trainer(configuration, run: run)
      let ending = try first.run(observer: Watch()) { first.stepsDone >= stop }
      #expect(ending == .interrupted && first.stepsDone == stop)
      let second = try scratch.trainer(configuration, run: run, resume: true)
      #expect(second.stepsDone == stop)
      #expect(try second.run(observer: Watch()) == .finished)
      expectSame(snapshot(second.network), snapshot(whole.network), "after \(stop), trained:")
      for checkpoint in ["best", "last"] {
        expectSame(try scratch.weights(run, checkpoint), try scratch.weights("whole", checkpoint), "after \(stop), \(checkpoint):")
      }
      for name in ["metrics.jsonl", "steps.jsonl"] {
        #expect(try scratch.lines(name, run: run) == scratch.lines(name, run: "whole"), "after \(stop)")
      }
    }
  }

  /// The work at an epoch's end, such as Fast AT's guard and the averages, runs only once.
  @Test(arguments: ["plain", "swa", "fast-at", "cat18"])
  func insideAValidation(kind: String) throws {
    let scratch = try TrainingScratch()
    var configuration = try scratch.configuration(method: DefenseRegistry.entries.contains { $0.name == kind } ? kind : "at")
    if kind == "swa" { configuration.averaging = .init(kind: .swa) }
    let whole = try scratch.trainer(configuration, run: "whole")
    let ending = try whole.run(observer: Watch())
    for epoch in 0..<whole.completedEpochs {
      let run = "stopped-\(epoch)"
      let first = try scratch.trainer(configuration, run: run)
      let watch = Watch()
      var asked = 0
      let answer = try first.run(observer: watch) {
        if watch.validated.last == epoch { asked += 1 }
        return asked > 2
      }
      #expect(answer == .interrupted && first.completedEpochs == epoch)
      let second = try scratch.trainer(configuration, run: run, resume: true)
      #expect(second.isAwaitingValidation && second.completedEpochs == epoch)
      #expect(try second.run(observer: Watch()) == ending)
      for checkpoint in ["best", "last"] {
        expectSame(try scratch.weights(run, checkpoint), try scratch.weights("whole", checkpoint), "epoch \(epoch), \(checkpoint):")
      }
      #expect(try scratch.lines("metrics.jsonl", run: run) == scratch.lines("metrics.jsonl", run: "whole"))
    }
  }

  /// Free AT keeps one perturbation, IAAT and CAT20 a radius per sample; the checkpoint contains both.
  @Test(arguments: DefenseRegistry.entries.map(\.name))
  func everyMethodKeepsItsMemory(method: String) throws {
    let scratch = try TrainingScratch()
    let configuration = try scratch.configuration(method: method)
    let whole = try scratch.trainer(configuration, run: "whole")
    let ending = try whole.run(observer: Watch())
    let stopAt = whole.stepsDone / 2 + 1
    let first = try scratch.trainer(configuration, run: "parts")
    #expect(try first.run(observer: Watch()) { first.stepsDone >= stopAt } == .interrupted)
    let second = try scratch.trainer(configuration, run: "parts", resume: true)
    #expect(second.stepsDone == stopAt)
    #expect(try second.run(observer: Watch()) == ending)
    expectSame(try scratch.weights("parts"), try scratch.weights("whole"))
  }

  @Test func checkpointsInsideAnEpoch() throws {
    let scratch = try TrainingScratch()
    var configuration = try scratch.configuration()
    configuration.checkpoints.minutes = 0
    let trainer = try scratch.trainer(configuration)
    let watch = Watch()
    var places: [String] = []
    watch.onBatch = {
      places += (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(scratch.path)/run/last")).map { [$0] } ?? []
    }
    #expect(try trainer.run(observer: watch) == .finished)
    // During a batch the link points to the previous batch's checkpoint.
    #expect(
      places == [
        "epoch-0000-batch-000001", "epoch-0000-batch-000002", "epoch-0000-batch-000003", "epoch-0000-batch-000004", "epoch-0000",
      ]
      .map { "checkpoints/\($0)" } + (1...4).map { "checkpoints/epoch-0001-batch-00000\($0)" })
    let kept = try FileManager.default.contentsOfDirectory(atPath: "\(scratch.path)/run/checkpoints")
    #expect(Set(kept).isSubset(of: ["epoch-0000", "epoch-0001"]), "\(kept)")
  }

  /// Changes to a run's folder since the checkpoint, and words of the resulting error.
  @Test(arguments: [
    ("last/state.json", "cut", "state.json"), ("last/training.safetensors", "cut", "training.safetensors"),
    ("last/weights.safetensors", "cut", "weights.safetensors"), ("last/weights.safetensors", "remove", "weights.safetensors"),
    ("last/state.json", "noise", "state.json"), ("last", "remove", "no last checkpoint"), ("data", "longer", "now holds"),
    ("last/weights.safetensors", "flip", "differs from the file saved"),
    ("last/training.safetensors", "flip", "differs from the file saved"),
    ("data", "other", "other images or labels"), ("epsilon", "edit", "threat.epsilon was 0.1, is 0.2"),
    ("epochs", "fewer", "has 2 epochs, more than the 1"),
  ])
  func whatWasChangedSince(file: String, change: String, words: String) throws {
    let scratch = try TrainingScratch()
    var configuration = try scratch.configuration()
    #expect(try scratch.trainer(configuration).run(observer: Watch()) == .finished)
    let path = "\(scratch.path)/run/\(file)"
    switch change {
    case "cut": try Data(Data(contentsOf: URL(fileURLWithPath: path)).dropLast(40)).write(to: URL(fileURLWithPath: path))
    case "flip":
      // A flipped low bit of one number still reads as a number.
      var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
      bytes[bytes.count - 4] ^= 1
      try bytes.write(to: URL(fileURLWithPath: path))
    case "fewer": configuration.epochs = 1
    case "other":
      let saved = try SafeTensors.read(configuration.data).tensors
      try SafeTensors(tensors: saved.map { ($0.name, $0.name == "images" ? 1 - $0.tensor : $0.tensor) }).write(
        to: configuration.data)
    case "noise": try Data("{}".utf8).write(to: URL(fileURLWithPath: path))
    case "remove": try FileManager.default.removeItem(atPath: path)
    case "longer": configuration.data = try TrainingScratch(count: 66).keepingData(at: "\(scratch.path)/data.safetensors")
    default: configuration.threat.epsilon = 0.2
    }
    let error = #expect(throws: (any Error).self) { try scratch.trainer(configuration, resume: true) }
    let message = error.map { "\($0)" } ?? ""
    #expect(message.contains(words) && message.contains(scratch.path) && !message.contains("\n"), "\(message)")
    #expect(error is SATError || error is TorchError)
  }

  @Test func aSecondProcessIsRefused() throws {
    let scratch = try TrainingScratch()
    let configuration = try scratch.configuration()
    let watch = Watch()
    var words = ""
    watch.onEpoch = {
      do { _ = try scratch.trainer(configuration, resume: true).run(observer: Watch()) } catch { words = "\(error)" }
    }
    #expect(try scratch.trainer(configuration).run(observer: watch) == .finished)
    #expect(words.contains("another process is training in \(scratch.path)/run"), "\(words)")
    // The lock is free after the end.
    #expect(try scratch.trainer(configuration, resume: true).run(observer: Watch()) == .finished)
  }

  @Test func deletedMetricsComeBack() throws {
    let scratch = try TrainingScratch()
    let watch = Watch()
    watch.onEpoch = { try? FileManager.default.removeItem(atPath: "\(scratch.path)/run/metrics.jsonl") }
    var configuration = try scratch.configuration()
    configuration.epochs = 3
    let trainer = try scratch.trainer(configuration)
    watch.onBatch = { if trainer.completedEpochs == 2 { watch.onEpoch = {} } }
    #expect(try trainer.run(observer: watch) == .finished)
    #expect(try scratch.lines("metrics.jsonl").map { $0["epoch"] as? Int } == [0, 1, 2])
  }

  @Test func aLostBestIsSaid() throws {
    let scratch = try TrainingScratch()
    var configuration = try scratch.configuration()
    #expect(try scratch.trainer(configuration).run(observer: Watch()) == .finished)
    try FileManager.default.removeItem(atPath: "\(scratch.path)/run/best")
    for name in [".last.partial", ".partial-1-1", "checkpoints/.epoch-0009.partial"] {
      try Data("x".utf8).write(to: URL(fileURLWithPath: "\(scratch.path)/run/\(name)"))
    }
    configuration.epochs = 3
    let watch = Watch()
    let trainer = try scratch.trainer(configuration, resume: true)
    #expect(try trainer.run(observer: watch) == .finished)
    #expect(watch.warnings.contains { $0.contains("run/best is gone") }, "\(watch.warnings)")
    #expect(trainer.bestValidation?.epoch == 2 && FileManager.default.fileExists(atPath: "\(scratch.path)/run/best/state.json"))
    let left = try FileManager.default.subpathsOfDirectory(atPath: "\(scratch.path)/run").filter { $0.contains("partial") }
    #expect(left.isEmpty, "\(left)")
  }

  /// A schedule that depends on the length would change.
  @Test func aLongerRunKeepsItsRates() throws {
    let scratch = try TrainingScratch()
    for kind in [LearningRateSettings.Kind.cosine, .multiStep] {
      var configuration = try scratch.configuration()
      configuration.learningRateSchedule = .init(kind: kind, milestones: kind == .cosine ? [] : [1])
      let run = "\(kind)"
      #expect(try scratch.trainer(configuration, run: run).run(observer: Watch()) == .finished)
      configuration.epochs = 3
      if kind == .cosine {
        let error = #expect(throws: SATError.self) { try scratch.trainer(configuration, run: run, resume: true) }
        #expect(error?.message.contains("epochs was 2, is 3") == true, "\(error?.message ?? "")")
      } else {
        #expect(try scratch.trainer(configuration, run: run, resume: true).run(observer: Watch()) == .finished)
      }
    }
  }

  @Test func aDeletedFolderIsNamed() throws {
    let scratch = try TrainingScratch()
    let watch = Watch()
    watch.onBatch = { try? FileManager.default.removeItem(atPath: "\(scratch.path)/run") }
    let trainer = try scratch.trainer(try scratch.configuration())
    let error = #expect(throws: SATError.self) { try trainer.run(observer: watch) }
    #expect(error?.message.contains("run is gone") == true, "\(error?.message ?? "")")
    #expect(!FileManager.default.fileExists(atPath: "\(scratch.path)/run"))
  }

  @Test func aRunKilledBeforeItsFirstCheckpointBeginsAgain() throws {
    let scratch = try TrainingScratch()
    let configuration = try scratch.configuration()
    #expect(try scratch.trainer(configuration).run(observer: Watch()) { true } == .interrupted)
    #expect(RunFolder("\(scratch.path)/run").exists && !FileManager.default.fileExists(atPath: "\(scratch.path)/run/last"))
    #expect(try scratch.trainer(configuration, resume: true).run(observer: Watch()) == .finished)
    #expect(try scratch.trainer(configuration, run: "whole").run(observer: Watch()) == .finished)
    expectSame(try scratch.weights(), try scratch.weights("whole"))
  }
}

extension TrainingScratch {
  /// Copies this folder's data over another folder's data.
  fileprivate func keepingData(at path: String) throws -> String {
    try FileManager.default.removeItem(atPath: path)
    try FileManager.default.copyItem(atPath: dataPath, toPath: path)
    return path
  }
}
