import Foundation
import Testing

/// Tests of `sat runs` on a run that really trained.
@Suite struct RunsCommandTests {
  private func runs(_ folder: String, _ options: [String] = []) throws -> [[String: Any]] {
    let outcome = try Command.run(["runs", folder, "--json"] + options)
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.json["format"] as? String == "sat-runs/1")
    return try #require(outcome.json["runs"] as? [[String: Any]])
  }

  @Test func everyStateOfARunIsListed() throws {
    let scratch = try Scratch()
    let data = try scratch.images("train.safetensors", count: 24)
    let run = scratch.file("group/first")
    let trained = try Command.run([
      "train", "digits", "--data", data, "--method", "at", "--run", run, "--epochs", "1", "--batch-size", "10", "--epsilon", "0.1",
      "--set", "attack.steps=1", "--model", "cnn-a", "--model-option", "channels=1", "--threads", "1",
    ])
    #expect(trained.status == 0, "\(trained.errors)")
    let line = try #require(try String(contentsOfFile: "\(run)/metrics.jsonl", encoding: .utf8).split(separator: "\n").last)
    let metrics = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    let validation = try #require(metrics["validation"] as? [String: Any])

    let found = try #require(try runs(scratch.path).first)
    #expect(found["path"] as? String == run && found["state"] as? String == "finished")
    #expect(found["method"] as? String == "at" && found["epochs"] as? Int == 1 && found["epochsDone"] as? Int == 1)
    #expect(found["clean"] as? Double == validation["clean"] as? Double)
    #expect(found["robust"] as? Double == validation["robust"] as? Double)

    // A process that trains holds the folder's lock.
    let descriptor = open(run, O_RDONLY | O_DIRECTORY)
    #expect(flock(descriptor, LOCK_EX) == 0)
    #expect(try runs(scratch.path).first?["state"] as? String == "running")
    close(descriptor)

    let second = scratch.file("group/second")
    try FileManager.default.copyItem(atPath: run, toPath: second)
    let configuration = try String(contentsOfFile: "\(second)/config.yaml", encoding: .utf8)
    let longer = configuration.replacingOccurrences(of: "\nepochs: 1\n", with: "\nepochs: 3\n")
    #expect(longer != configuration)
    try longer.write(toFile: "\(second)/config.yaml", atomically: true, encoding: .utf8)
    #expect(try runs(scratch.path, ["--sort", "state"]).map { $0["state"] as? String } == ["finished", "interrupted"])

    try Data("method: [".utf8).write(to: URL(fileURLWithPath: "\(second)/config.yaml"))
    let table = try Command.run(["runs", scratch.path])
    #expect(table.status == 0 && table.output.contains("damaged") && table.output.contains("1/1"), "\(table)")
    #expect(table.errors.contains("second/config.yaml"), "\(table.errors)")
  }

  @Test func aFolderWithoutRunsSaysSo() throws {
    let scratch = try Scratch()
    #expect(try Command.run(["runs", scratch.path]).output.contains("holds no runs"))
    let missing = try Command.run(["runs", scratch.file("nowhere")])
    #expect(missing.status == 1 && missing.sentence.contains("is no folder"), "\(missing.errors)")
  }
}
