import Foundation
import SAT
import SwiftTorch
import Testing

@Suite struct LandscapeCommandTests {
  private func prepare(_ scratch: Scratch) throws -> [String] {
    let architecture = Architecture(name: "lenet5", options: ["classes": "4"])
    let network = NetworkClassifier(
      try architecture.make(generator: Generator(seed: 1)), architecture: architecture, normalization: nil)
    try ModelFile.save(network, to: scratch.file("model.safetensors"))
    return [
      "landscape", scratch.file("model.safetensors"), "--data", try scratch.images("data.safetensors", count: 8), "--points", "3",
    ]
  }

  @Test func theGridIsInEveryFormat() throws {
    let scratch = try Scratch()
    let base = try prepare(scratch)
    let outcome = try Command.run(
      base + [
        "--epsilon", "0.1", "--steps", "2", "--csv", scratch.file("s.csv"), "--save", scratch.file("s.safetensors"), "--json",
      ])
    #expect(outcome.status == 0, "\(outcome.errors)")
    let json = outcome.json
    #expect(json["format"] as? String == "sat-landscape/1")
    #expect(json["x"] as? [Double] == [-1, 0, 1] && json["y"] as? [Double] == [-1, 0, 1])
    let loss = try #require(json["loss"] as? [[Double]])
    #expect(loss.count == 3 && loss.allSatisfy { $0.count == 3 && $0.allSatisfy { $0 > 0 } })
    #expect(Set(loss.flatMap { $0 }).count == 9)
    let tensors = try SafeTensors.read(scratch.file("s.safetensors"))
    let saved = try #require(tensors["loss"]).array(of: Double.self)
    // Foundation's reader of JSON may miss the last bit.
    #expect(zip(saved, loss.flatMap { $0 }).allSatisfy { abs($0 - $1) <= 1e-14 } && saved.count == 9)
    let lines = try String(contentsOfFile: scratch.file("s.csv"), encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 10 && lines[0] == "x,y,loss,accuracy")
    #expect(lines[5].split(separator: ",").prefix(3).compactMap { Double($0) } == [0, 0, saved[4]])
  }

  /// The document says enough to make the directions again: the corner of the grid by hand.
  @Test func theDirectionsComeBackFromTheSeed() throws {
    let scratch = try Scratch()
    let json = try Command.run(try prepare(scratch) + ["--examples", "clean", "--vectors", "scaled", "--seed", "7", "--json"]).json
    let directions = try #require(json["directions"] as? [String: Any])
    #expect(directions["seed"] as? Int == 7 && directions["count"] as? Int == 2 && directions["vectors"] as? String == "scaled")
    let model = try ModelFile.load(
      path: scratch.file("model.safetensors"), execution: Execution(device: "cpu", memoryFormat: .contiguous))
    let weights = try model.parameters()
    let made = LandscapeDirection.orthogonal(2, for: weights, vectors: .scaled, seed: 7)
    let data = try SafeTensors.read(scratch.file("data.safetensors"))
    withNoGrad {
      for (i, weight) in weights.enumerated() {
        weight.addInPlace(made[0].parts[i], alpha: 1).addInPlace(made[1].parts[i], alpha: -1)
      }
    }
    let loss = try model.classifier.logits(data["images"]!).crossEntropy(data["labels"]!).item()
    #expect(abs(loss - (json["loss"] as! [[Double]])[0][2]) <= 1e-5 * loss)
  }

  @Test func theStateIsGoneOnWith() throws {
    let scratch = try Scratch()
    let base = try prepare(scratch) + ["--examples", "clean", "--dimensions", "1", "--json", "--workers", "1"]
    let whole = try Command.run(base)
    let state = scratch.file("surface.state")
    let first = try Command.run(base + ["--state", state])
    #expect(first.json["loss"] as? [[Double]] == whole.json["loss"] as? [[Double]])
    // A point is taken out and another one forged: the first comes back, the second is believed.
    let file = StatePlace.file(at: state)
    var contents = try SafeTensors.read(file)
    let kept = Tensor([0, 2])
    contents.tensors = contents.tensors.map { ($0.name, $0.tensor.selecting(kept)) }
    contents["loss"]![0..<1].copyInPlace(from: Tensor([123.5]))
    try contents.write(to: file)
    let second = try Command.run(base + ["--state", state])
    let (found, expected) = (second.json["loss"] as! [[Double]], whole.json["loss"] as! [[Double]])
    #expect(found[0] == [123.5, expected[0][1], expected[0][2]])
    // Early versions kept the state in a file of the user's name, which still works.
    try FileManager.default.moveItem(atPath: file, toPath: scratch.file("old.state"))
    #expect(try Command.run(base + ["--state", scratch.file("old.state")]).json["loss"] as? [[Double]] == found)
    try FileManager.default.moveItem(atPath: scratch.file("old.state"), toPath: file)
    let other = try Command.run(base + ["--state", state, "--seed", "1"])
    #expect(other.status == 1 && other.sentence.contains("another seed (0, not 1)"))
  }

  @Test func mistakesAreOneSentence() throws {
    let scratch = try Scratch()
    let base = try prepare(scratch)
    for (arguments, status, fragment) in [
      ([], Int32(1), "no epsilon was given"), (["--dimensions", "3"], 64, "1 or 2"),
      (["--examples", "clean", "--epsilon", "0.1"], 64, "--epsilon needs --examples fixed or reattack"),
      (["--points", "1"], 64, "2 to 1001"),
      (["--radius", "0"], 64, "more than 0"),
      (["--epsilon", "0.1", "--csv", scratch.file("f"), "--json-file", scratch.path + "/./f"], 64, "named for two outputs"),
      (["--epsilon", "0.1", "--csv", scratch.file("f"), "--save", scratch.file("f")], 64, "named for two outputs"),
    ] {
      let outcome = try Command.run(base + arguments)
      #expect(outcome.status == status && outcome.sentence.contains(fragment), "\(arguments): \(outcome.errors)")
    }
  }
}
