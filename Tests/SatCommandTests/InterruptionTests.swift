import Foundation
import SwiftTorch
import Testing

/// Ctrl-C and SIGTERM while a command works.
@Suite(.serialized, .timeLimit(.minutes(20))) struct InterruptionTests {
  private func evaluation(_ scratch: Scratch, count: Int) throws -> [String] {
    let (model, data) = try scratch.untrained(count: count)
    // So little that nothing is ever broken, and every step is taken.
    return ["evaluate", model, "--data", data, "--epsilon", "1e-6", "--step-size", "1e-6", "--threads", "1"]
  }

  /// A batch that would take a quarter of an hour.
  @Test(arguments: [SIGINT, SIGTERM]) func anEvaluationEndsWithinABatch(signal: Int32) throws {
    let scratch = try Scratch()
    let arguments = try evaluation(scratch, count: 12) + ["--steps", "1000000", "--save", scratch.file("adv.safetensors")]
    let start = ContinuousClock.now
    let outcome = try Command.run(arguments, interruptingBy: signal, onceThereIs: scratch.path, after: 2)
    #expect(outcome.status == 130, "\(outcome.errors)")
    #expect(ContinuousClock.now - start < .seconds(40))
    #expect(outcome.errors.isEmpty || outcome.errors.contains("nothing is kept; name a folder with --state"), "\(outcome.errors)")
    #expect(!FileManager.default.fileExists(atPath: scratch.file("adv.safetensors")))
  }

  @Test func anInterruptedEvaluationGoesOnWhereItWas() throws {
    let scratch = try Scratch()
    let arguments =
      try evaluation(scratch, count: 10) + ["--steps", "400", "--batch-size", "1", "--attack", "pgd,apgd-ce", "--json"]
    let whole = try Command.run(arguments)
    #expect(whole.status == 0, "\(whole.errors)")
    let (state, file) = (scratch.file("state"), scratch.file("state/state.safetensors"))
    func done() throws -> Int {
      guard FileManager.default.fileExists(atPath: file), let text = try SafeTensors.read(file).metadata["sat.state"] else {
        return 0
      }
      let contents = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
      return 10 * (contents["outcomes"] as! [Any]).count + (contents["done"] as! Int)
    }
    // A busy machine may not have begun when the signal comes.
    for attempt in 1...8 where try done() == 0 {
      let outcome = try Command.run(
        arguments + ["--state", state], interruptingBy: SIGINT, onceThereIs: state, after: 0.4 * Double(attempt * attempt))
      #expect(outcome.status == 130, "\(outcome.errors)")
      #expect(outcome.errors.isEmpty || outcome.errors.contains("kept in \(state)"), "\(outcome.errors)")
    }
    let kept = try done()
    #expect((1..<20).contains(kept), "\(kept) batches were kept, before the fifteen seconds between two writes were over")
    let resumed = try Command.run(arguments + ["--state", state])
    #expect(resumed.status == 0, "\(resumed.errors)")
    for key in ["flags", "robust", "clean", "perClass"] {
      #expect(resumed.json[key] as? NSDictionary == whole.json[key] as? NSDictionary, "\(key)")
    }
    func costs(_ outcome: Command.Outcome) -> [Int?] {
      (outcome.json["attacks"] as? [[String: Any]] ?? []).map { $0["forward"] as? Int }
    }
    #expect(costs(resumed) == costs(whole) && costs(whole).count == 2)
  }

  @Test func measurementsOfTheLossEndAtOnce() throws {
    let scratch = try Scratch()
    let (model, data) = try scratch.untrained(count: 40)
    let hessian = [
      "hessian", model, "--data", data, "--threads", "1", "--top", "5", "--solver", "power", "--tolerance", "1e-12", "--iterations",
      "1000000",
    ]
    #expect(try Command.run(hessian, interruptingBy: SIGINT, onceThereIs: scratch.path, after: 2).status == 130)
    let state = scratch.file("landscape-state")
    let landscape = [
      "landscape", model, "--data", data, "--threads", "1", "--examples", "reattack", "--epsilon", "0.1", "--steps", "20",
      "--points", "301",
    ]
    let outcome = try Command.run(landscape + ["--state", state], interruptingBy: SIGTERM, onceThereIs: state, after: 1)
    #expect(outcome.status == 130, "\(outcome.errors)")
    if !outcome.errors.isEmpty {
      #expect(outcome.errors.contains("kept in \(state)") && FileManager.default.fileExists(atPath: state), "\(outcome.errors)")
    }
  }

  @Test func aReproductionEndsAndGoesOn() throws {
    let scratch = try Scratch()
    let arguments = [
      "reproduce", "table-2", "--methods", "at", "--settings", "mnist-0.3", "--out", scratch.file("out"), "--threads", "1",
    ]
    let outcome = try Command.run(arguments, interruptingBy: SIGINT, onceThereIs: scratch.file("out"), after: 1)
    #expect(outcome.status == 130, "\(outcome.errors)")
    #expect(outcome.errors.contains("the same command goes on from there"), "\(outcome.errors)")
    #expect(try Command.run(arguments).status == 0)
  }

  /// `scripts/interrupts` does the same at more moments and with more commands, and compares the results.
  @Test(arguments: [1, 2]) func aTrainingAnswersAtOnceAndResumes(signals: Int) throws {
    let scratch = try Scratch()
    let data = try scratch.images("images.safetensors", count: 400)
    // A batch takes seconds, so only the thread that waits for the signal can answer within one.
    let outcome = try Command.shell(
      """
      "$SAT" train digits --data \(data) --run run --epochs 1 --batch-size 256 --model lenet5 --threads 1 --method at \
        --set attack.steps=200 2>errors & process=$!
      until [ -e run/config.yaml ]; do sleep 0.1; done
      sleep 1; kill -INT $process; sleep 1; cat errors
      if [ \(signals) = 2 ]; then kill -INT $process; fi
      wait $process; status=$?; cat errors >&2; ls -A >&2; exit $status
      """, in: scratch.path)
    #expect(outcome.status == 130, "\(outcome.errors)")
    #expect(outcome.output.contains("finishing this step; press Ctrl-C again"), "\(outcome.output)")
    #expect(outcome.errors.contains("sat train --run run --resume"), "\(outcome.errors)")
    #expect(!outcome.errors.contains(".partial"), "\(outcome.errors)")
    let resumed = try Command.run(["train", "--run", "run", "--resume"], in: scratch.path)
    #expect(resumed.status == 0, "\(resumed.errors)")
  }
}
