import Foundation
import SwiftTorch
import Testing

@Suite(.serialized, .timeLimit(.minutes(20))) struct EvaluateCommandTests {
  /// A run trained on separable synthetic images.
  static func trained(_ scratch: Scratch) throws -> String {
    let data = try scratch.images("train.safetensors", count: 130)
    let outcome = try Command.run([
      "train", "digits", "--data", data, "--run", scratch.file("run"), "--batch-size", "16", "--epochs", "4", "--epsilon", "0.1",
      "--set", "attack.steps=2", "--set", "attack.stepSize=0.05", "--quiet",
    ])
    #expect(outcome.status == 0, "\(outcome.errors)")
    return scratch.file("run")
  }

  @Test func theDocumentIsAsSpecified() throws {
    let scratch = try Scratch()
    let run = try Self.trained(scratch)
    let test = try scratch.images("test.safetensors", count: 70, seed: 5)
    let outcome = try Command.run([
      "evaluate", run, "--data", test, "--attack", "fgsm,pgd", "--steps", "4", "--epsilon", "0.2", "--json", "--batch-size", "32",
    ])
    #expect(outcome.status == 0, "\(outcome.errors)")
    let json = outcome.json
    #expect(json["format"] as? String == "sat-evaluation/1")
    #expect((json["data"] as? [String: Any])?["samples"] as? Int == 70)
    #expect((json["threat"] as? [String: Any])?["norm"] as? String == "linf")
    #expect((json["threat"] as? [String: Any])?["epsilon"] as? Double == 0.2)
    let flags = try #require(json["flags"] as? [String: [Int]])
    #expect(Set(flags.keys) == ["clean", "fgsm", "pgd", "robust"])
    #expect(flags.values.allSatisfy { $0.count == 70 })
    let clean = try #require(json["clean"] as? [String: Any])
    #expect(clean["correct"] as? Int == flags["clean"]!.reduce(0, +))
    #expect(clean["accuracy"] as? Double == Double(flags["clean"]!.reduce(0, +)) / 70)
    let interval = try #require(clean["interval"] as? [Double])
    #expect(interval[0] <= (clean["accuracy"] as! Double) && (clean["accuracy"] as! Double) <= interval[1])
    let attacks = try #require(json["attacks"] as? [[String: Any]])
    #expect(attacks.map { $0["name"] as? String } == ["fgsm", "pgd"])
    for (attack, before) in zip(attacks, ["clean", "fgsm"]) {
      let name = attack["name"] as! String
      #expect(attack["robust"] as? Int == flags[name]!.reduce(0, +), "cumulative")
      #expect(zip(flags[name]!, flags[before]!).allSatisfy { $0 <= $1 })
    }
    // FGSM looks at every correct sample and at where its step led; PGD takes at most four steps.
    #expect(attacks[0]["forward"] as? Int == 2 * (clean["correct"] as! Int))
    #expect(attacks[0]["backward"] as? Int == clean["correct"] as? Int)
    #expect((attacks[1]["backward"] as? Int)! <= 4 * flags["fgsm"]!.reduce(0, +))
    #expect(flags["robust"] == flags["pgd"])
    let perClass = try #require(json["perClass"] as? [[String: Int]])
    #expect(perClass.reduce(0) { $0 + $1["samples"]! } == 70)
    #expect((json["versions"] as? [String: String])?["libtorch"] == Torch.version)
    #expect(flags["clean"]!.reduce(0, +) > 60, "the network learned the quarters")
  }

  @Test func theResultDoesNotDependOnTheBatchSize() throws {
    let scratch = try Scratch()
    let run = try Self.trained(scratch)
    let test = try scratch.images("test.safetensors", count: 60, seed: 5)
    func flags(_ size: Int) throws -> [String: [Int]]? {
      let outcome = try Command.run([
        "evaluate", run, "--data", test, "--epsilon", "0.3", "--steps", "3", "--restarts", "2", "--json", "--batch-size", "\(size)",
      ])
      return outcome.json["flags"] as? [String: [Int]]
    }
    let whole = try #require(try flags(60))
    #expect(try flags(7) == whole)
    #expect(whole["pgd"] != whole["clean"], "the attack breaks some")
  }

  @Test func savedImagesAreTheOnesThatWereCounted() throws {
    let scratch = try Scratch()
    let run = try Self.trained(scratch)
    let test = try scratch.images("test.safetensors", count: 40, seed: 5)
    let outcome = try Command.run([
      "evaluate", run, "--data", test, "--epsilon", "0.3", "--steps", "5", "--save", scratch.file("adv.safetensors"), "--json",
    ])
    let saved = try SafeTensors.read(scratch.file("adv.safetensors"))
    let (adversarial, original) = (try #require(saved["images"]), try #require(try SafeTensors.read(test)["images"]))
    #expect((adversarial - original).abs().max().item() <= 0.3 + 1e-6)
    #expect(adversarial.min().item() >= 0 && adversarial.max().item() <= 1)
    // Read back as data, the broken images are misclassified and no attack is needed.
    let again = try Command.run(["evaluate", run, "--data", scratch.file("adv.safetensors"), "--attack", "clean", "--json"])
    #expect(
      (again.json["clean"] as? [String: Any])?["correct"] as? Int == (outcome.json["robust"] as? [String: Any])?["correct"] as? Int)
    #expect(again.json["robust"] == nil && again.json["threat"] == nil)
  }

  /// The file saves originals of bytes on the scale of the adversarial images. A file of an early version, with bytes, is read too.
  @Test func originalsHaveTheScaleOfTheImages() throws {
    let scratch = try Scratch()
    let (model, data) = try scratch.untrained(count: 6)
    let file = try SafeTensors.read(data)
    let bytes = (file["images"]! * 255.0).rounded().to(.uint8)
    try SafeTensors(tensors: [("images", bytes), ("labels", file["labels"]!)]).write(to: scratch.file("bytes"))
    let saved = scratch.file("adv")
    let outcome = try Command.run([
      "evaluate", model, "--data", scratch.file("bytes"), "--epsilon", "0.05", "--steps", "2", "--save", saved,
    ])
    #expect(outcome.status == 0, "\(outcome.errors)")
    let adversarial = try SafeTensors.read(saved)
    #expect(adversarial["originals"]?.dtype == .float32)
    #expect((adversarial["images"]! - adversarial["originals"]!).abs().max().item() <= 0.05 + 1e-6)
    #expect(try Command.run(["verify", saved, "--model-file", model, "--data", scratch.file("bytes")]).status == 0)
    let old = adversarial.tensors.map { ($0.name, $0.name == "originals" ? bytes : $0.tensor) }
    try SafeTensors(tensors: old, metadata: adversarial.metadata).write(to: scratch.file("old"))
    #expect(try Command.run(["verify", scratch.file("old"), "--model-file", model]).status == 0)
  }

  @Test func theJSONFileHoldsTheDocument() throws {
    let scratch = try Scratch()
    let run = try Self.trained(scratch)
    let data = try scratch.images("test.safetensors", count: 8)
    let outcome = try Command.run(["evaluate", run, "--data", data, "--attack", "clean", "--json-file", scratch.file("e.json")])
    #expect(outcome.output.contains("accuracy"))
    let json =
      try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: scratch.file("e.json")))) as? [String: Any]
    #expect(json?["format"] as? String == "sat-evaluation/1")
  }

  @Test func outputsThatAreNotLogitsAreNamed() throws {
    let scratch = try Scratch()
    // A network of zeros gives equal logits; as the weights of an untrained net they are fine, but probabilities they are not.
    let run = try Self.trained(scratch)
    let file = try SafeTensors.read(run + "/best/weights.safetensors")
    func variant(_ name: String, _ change: (String, Tensor) -> Tensor) throws -> String {
      let path = scratch.file(name)
      try SafeTensors(tensors: file.tensors.map { ($0.name, change($0.name, $0.tensor)) }, metadata: file.metadata).write(to: path)
      return path
    }
    func warnings(_ model: String) throws -> [String] {
      let data = scratch.file("train.safetensors")
      let outcome = try Command.run([
        "evaluate", model, "--data", data, "--first", "20", "--epsilon", "0.1", "--steps", "1", "--json",
      ])
      #expect(outcome.status == 0, "\(outcome.errors)")
      return (outcome.json["warnings"] as? [[String: String]] ?? []).compactMap { $0["code"] }
    }
    let oneTenth = try variant("tenth.safetensors") { name, tensor in
      .full(like: tensor, name == "fc.bias" ? 0.1 : 0.0)
    }
    #expect(try warnings(oneTenth) == ["softmax-output", "zero-gradient"])
    let nan = try variant("nan.safetensors") { name, tensor in name == "fc.bias" ? .full(like: tensor, Double.nan) : tensor }
    let found = try warnings(nan)
    #expect(found == ["non-finite"], "\(found)")
    #expect(try warnings(run) == [])
  }

  @Test func mistakesGetASentence() throws {
    let scratch = try Scratch()
    let run = try Self.trained(scratch)
    let data = try scratch.images("test.safetensors", count: 8)
    let weights = run + "/best/weights.safetensors"
    let bytes = try Data(contentsOf: URL(fileURLWithPath: weights))
    try bytes.prefix(bytes.count / 2).write(to: URL(fileURLWithPath: scratch.file("cut.safetensors")))
    try Data((0..<4000).map { UInt8(truncatingIfNeeded: $0 &* 151 &+ 7) }).write(
      to: URL(fileURLWithPath: scratch.file("random.pt")))
    try SafeTensors(tensors: [("images", .zeros(4, 3, 32, 32)), ("labels", Tensor([0, 1, 2, 3]))]).write(
      to: scratch.file("color.safetensors"))
    try SafeTensors(tensors: [("images", .full([4, 1, 28, 28], 200.0)), ("labels", Tensor([0, 1, 2, 3]))])
      .write(to: scratch.file("bytes.safetensors"))
    try SafeTensors(tensors: [("images", .zeros(4, 1, 28, 28)), ("labels", Tensor([0, 1, 2, 10]))]).write(
      to: scratch.file("labels.safetensors"))
    try SafeTensors(tensors: [("images", .zeros(4, 1, 28, 28))]).write(to: scratch.file("nolabels.safetensors"))
    let file = try SafeTensors.read(weights)
    try SafeTensors(tensors: file.tensors.dropLast() + [("extra", .zeros(2))], metadata: file.metadata).write(
      to: scratch.file("keys.safetensors"))
    try SafeTensors(tensors: file.tensors).write(to: scratch.file("bare.safetensors"))
    try FileManager.default.createDirectory(atPath: scratch.file("empty"), withIntermediateDirectories: true)

    let cases: [([String], Int32, [String])] = [
      ([scratch.file("nowhere"), "--data", data], 1, ["nowhere", "does not exist"]),
      ([scratch.file("empty"), "--data", data], 1, ["empty", "best/weights.safetensors"]),
      ([scratch.file("cut.safetensors"), "--data", data], 1, ["cut.safetensors"]),
      ([scratch.file("random.pt"), "--data", data], 1, ["random.pt", "TorchScript"]),
      ([scratch.file("keys.safetensors"), "--data", data], 1, ["missing keys: fc.bias", "unexpected keys: extra"]),
      ([scratch.file("bare.safetensors"), "--data", data], 1, ["add --model mnist-cnn"]),
      ([scratch.file("bare.safetensors"), "--data", data, "--model", "lenet5"], 1, ["missing keys"]),
      ([run, "--data", data, "--model", "lenet5"], 1, ["holds mnist-cnn"]),
      ([run, "--data", scratch.file("color.safetensors")], 1, ["[1, 28, 28]", "[3, 32, 32]"]),
      ([run, "--data", scratch.file("bytes.safetensors")], 1, ["200", "[0, 1]"]),
      ([run, "--data", scratch.file("labels.safetensors")], 1, ["10 classes", "10"]),
      ([run, "--data", scratch.file("nolabels.safetensors")], 1, ["labels"]),
      ([run, "--data", scratch.file("none.npz")], 1, ["none.npz"]),
      ([run, "--data", data, "--first", "9"], 1, ["0:9"]),
      ([run, "--data", data, "--epsilon", "2"], 1, ["epsilon 2"]),
      ([run, "--data", data, "--normalize", "cifar10"], 1, ["3 channels"]),
      ([weights, "--data", data], 1, ["--epsilon"]),
      ([weights, "--epsilon", "0.1"], 1, ["--data"]),
      ([run, "--data", data, "--attack", "magic"], 64, ["magic"]),
      ([run, "--data", data, "--indices", "5:2"], 64, ["5:2"]),
      ([run, "--data", data, "--attack", "clean", "--json-file", "/proc/nowhere/e.json"], 1, ["/proc/nowhere/e.json"]),
    ]
    for (arguments, status, words) in cases {
      let outcome = try Command.run(["evaluate"] + arguments)
      #expect(outcome.status == status, "\(arguments): \(outcome.errors)")
      for word in words { #expect(outcome.errors.contains(word), "\(arguments): \(outcome.errors)") }
      #expect(!outcome.errors.contains("Fatal error"))
      if status == 1 { #expect(outcome.sentence.split(separator: "\n").count == 1, "\(arguments): \(outcome.errors)") }
    }
  }
}
