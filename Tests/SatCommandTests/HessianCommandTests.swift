import Foundation
import SAT
import SwiftTorch
import Testing

@Suite struct HessianCommandTests {
  /// A saved network and synthetic images for it.
  private func prepare(_ scratch: Scratch) throws -> (model: String, data: String) {
    let architecture = Architecture(name: "lenet5", options: ["classes": "4"])
    let network = NetworkClassifier(
      try architecture.make(generator: Generator(seed: 1)), architecture: architecture, normalization: nil)
    let model = scratch.file("model.safetensors")
    try ModelFile.save(network, to: model)
    return (model, try scratch.images("data.safetensors", count: 12))
  }

  @Test func theDocumentHasWhatWasAskedFor() throws {
    let scratch = try Scratch()
    let (model, data) = try prepare(scratch)
    let outcome = try Command.run([
      "hessian", model, "--data", data, "--first", "6", "--top", "2", "--trace", "--probes", "3", "--density", "--density-steps",
      "5",
      "--density-probes", "1", "--per-sample", "--approximations", "--threads", "1", "--json",
    ])
    #expect(outcome.status == 0, "\(outcome.errors)")
    let json = outcome.json
    #expect(json["format"] as? String == "sat-hessian/1")
    #expect(json["samples"] as? Int == 6)
    #expect(json["parameters"] as? Int == 647_020)
    #expect(json["at"] as? String == "clean")
    #expect((json["loss"] as? Double ?? 0) > 0.5 && (json["gradientNorm"] as? Double ?? 0) > 0)
    let eigenvalues = json["eigenvalues"] as? [[String: Any]] ?? []
    #expect(eigenvalues.count == 2)
    for entry in eigenvalues {
      #expect(entry["value"] is Double && entry["iterations"] is Int && (entry["residual"] as? Double ?? 1) <= 1e-3)
    }
    let trace = json["trace"] as? [String: Any] ?? [:]
    #expect(trace["probes"] as? Int == 3 && trace["mean"] is Double && trace["standardError"] is Double)
    let density = json["density"] as? [String: Any] ?? [:]
    #expect((density["grid"] as? [Double])?.count == (density["values"] as? [Double])?.count)
    let perSample = json["perSample"] as? [String: Any] ?? [:]
    let exact = perSample["eigenvalues"] as? [Double] ?? []
    #expect(exact.count == 6)
    let values = perSample["approximations"] as? [String: [Double]] ?? [:]
    let correlations = perSample["spearman"] as? [String: Double] ?? [:]
    #expect(Set(values.keys) == ["central", "paper-upper", "paper-lower", "fixed-upper", "fixed-lower", "loss", "gauss-newton"])
    #expect(values.values.allSatisfy { $0.count == 6 })
    #expect(Set(values.keys) == Set(correlations.keys))
    // A Rayleigh quotient is at most the spectral norm, up to what the step and float32 leave.
    for (estimate, norm) in zip(values["central"] ?? [], exact) { #expect(estimate <= 1.05 * abs(norm) + 0.05) }
    for (name, value) in correlations {
      #expect(abs(value - Spearman.correlation(values[name] ?? [], exact.map(abs))) <= 1e-12)
    }
    // The mean Hessian's norm is at most the mean of the samples' (Eq. 48).
    let largest = abs(eigenvalues[0]["value"] as? Double ?? 0)
    #expect(largest <= exact.map(abs).reduce(0, +) / 6 * 1.001)
  }

  @Test func onlyWhatWasAskedForIsThere() throws {
    let scratch = try Scratch()
    let (model, data) = try prepare(scratch)
    let plain = try Command.run(["hessian", model, "--data", data, "--first", "3", "--threads", "1", "--json"])
    #expect((plain.json["eigenvalues"] as? [Any])?.count == 1)
    for key in ["trace", "density", "perSample", "perturbation"] { #expect(plain.json[key] == nil) }
    let traced = try Command.run(
      ["hessian", model, "--data", data, "--first", "3", "--trace", "--probes", "2", "--threads", "1", "--json"])
    #expect(traced.json["eigenvalues"] == nil && traced.json["trace"] != nil)
  }

  @Test func adversarialImagesHaveAHigherLoss() throws {
    let scratch = try Scratch()
    let (model, data) = try prepare(scratch)
    func loss(_ more: [String]) throws -> [String: Any] {
      try Command.run(["hessian", model, "--data", data, "--trace", "--probes", "2", "--threads", "1", "--json"] + more).json
    }
    let clean = try loss([])
    let adversarial = try loss(["--at", "adversarial", "--epsilon", "0.2", "--steps", "5"])
    #expect((adversarial["loss"] as? Double ?? 0) > (clean["loss"] as? Double ?? 9) + 0.05)
    #expect((adversarial["perturbation"] as? [String: Any])?["epsilon"] as? Double == 0.2)
    let again = try loss(["--at", "adversarial", "--epsilon", "0.2", "--steps", "5"])
    #expect(again["loss"] as? Double == adversarial["loss"] as? Double)
  }

  @Test func float64AndFloat32Agree() throws {
    let scratch = try Scratch()
    let (model, data) = try prepare(scratch)
    func value(_ dtype: String) throws -> Double {
      let json = try Command.run(
        ["hessian", model, "--data", data, "--first", "2", "--solver", "power", "--dtype", dtype, "--threads", "1", "--json"]).json
      #expect(json["dtype"] as? String == dtype)
      return (json["eigenvalues"] as? [[String: Any]])?.first?["value"] as? Double ?? .nan
    }
    let (single, double) = (try value("float32"), try value("float64"))
    #expect(abs(single - double) <= 1e-4 * abs(double))
  }

  @Test func whatDidNotConvergeIsSaid() throws {
    let scratch = try Scratch()
    let (model, data) = try prepare(scratch)
    let base = ["hessian", model, "--data", data, "--first", "3", "--threads", "1", "--iterations"]
    let json = scratch.file("h.json")
    let short = try Command.run(base + ["1", "--per-sample", "--json-file", json])
    #expect(short.output.contains("3 of the 3 per-sample eigenvalues did not converge"), "\(short.output)")
    let document = try #require(JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: json))) as? [String: Any])
    #expect((document["perSample"] as? [String: Any])?["converged"] as? [Bool] == [false, false, false])
    let whole = try Command.run(base + ["100", "--per-sample"])
    #expect(whole.status == 0 && !whole.output.contains("did not converge"))
    let few = try Command.run(base + ["4", "--top", "9"])
    #expect(few.output.contains("4 of the 9 eigenvalues that were asked for"), "\(few.output)")
  }

  @Test func aStateKeepsFinishedSamples() throws {
    let scratch = try Scratch()
    let (model, data) = try prepare(scratch)
    let base = ["hessian", model, "--data", data, "--first", "3", "--threads", "1", "--json"]
    func eigenvalues(_ outcome: Command.Outcome) -> [Double]? {
      (outcome.json["perSample"] as? [String: Any])?["eigenvalues"] as? [Double]
    }
    let state = ["--state", scratch.file("state")]
    let first = try Command.run(base + ["--per-sample"] + state)
    let found = try #require(eigenvalues(first), "\(first.errors)")
    let second = try Command.run(base + ["--per-sample"] + state)
    #expect(eigenvalues(second) == found, "every sample comes from the state")
    let other = try Command.run(base + ["--per-sample", "--seed", "1"] + state)
    #expect(other.status == 1 && other.sentence.contains("another seed (0, not 1)"), "\(other.errors)")
    let unused = try Command.run(base + ["--trace"] + state)
    #expect(unused.status == 64 && unused.sentence.contains("--state keeps finished samples"), "\(unused.errors)")
  }

  @Test func scoresOfATorchScriptArchiveAreRefused() throws {
    let scratch = try Scratch()
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Fixtures/files/odd-plain.ts").path
    try SafeTensors(tensors: [("images", .full([4, 1, 6, 6], 0.5)), ("labels", Tensor([0, 1, 2, 3]))]).write(
      to: scratch.file("d.safetensors"))
    let outcome = try Command.run(["hessian", script, "--data", scratch.file("d.safetensors"), "--per-sample", "--approximations"])
    #expect(outcome.status == 1 && outcome.sentence.contains("leave out --approximations"), "\(outcome.errors)")
  }

  @Test func lossesThatAreNotFiniteAreRefused() throws {
    let scratch = try Scratch()
    let architecture = Architecture(name: "lenet5", options: ["classes": "4"])
    let network = NetworkClassifier(
      try architecture.make(generator: Generator(seed: 1)), architecture: architecture, normalization: nil)
    _ = withNoGrad { network.module.parameters[0].value.copyInPlace(from: Tensor(Float.nan)) }
    try ModelFile.save(network, to: scratch.file("nan.safetensors"))
    let data = try scratch.images("data.safetensors", count: 4)
    let output = scratch.file("out")
    for arguments in [
      ["hessian", "--json-file", output], ["hessian", "--at", "adversarial", "--epsilon", "0.1", "--json-file", output],
      ["landscape", "--examples", "clean", "--points", "3", "--csv", output],
    ] {
      let outcome = try Command.run(arguments + [scratch.file("nan.safetensors"), "--data", data, "--threads", "1"])
      #expect(outcome.status == 1 && outcome.sentence.contains("not finite"), "\(arguments): \(outcome.errors)")
      #expect(outcome.sentence.split(separator: "\n").count == 1 && !FileManager.default.fileExists(atPath: output))
    }
  }

  @Test func mistakesAreOneSentence() throws {
    let scratch = try Scratch()
    let (model, data) = try prepare(scratch)
    let cases: [(arguments: [String], status: Int32, fragment: String)] = [
      ([model], 1, "no data were named"),
      ([data + ".json"], 1, "data.safetensors.json"),
      ([model, "--data", data, "--probes", "5"], 64, "--probes needs --trace"),
      ([model, "--data", data, "--density-steps", "5", "--trace"], 64, "--density-steps needs --density"),
      ([model, "--data", data, "--at", "adversarial"], 1, "no epsilon was given"),
      ([model, "--data", data, "--epsilon", "0.1"], 64, "--epsilon needs --at adversarial"),
      ([model, "--data", data, "--at", "clean", "--steps", "5", "--step-size", "0.1"], 64, "--steps needs --at adversarial"),
      ([model, "--data", data, "--density", "--density-steps", "1"], 64, "2 to 10000"),
      ([model, "--data", data, "--top", "0"], 64, "1 to 1000"),
      ([model, "--data", data, "--approximations"], 64, "needs --per-sample"),
      ([model, "--data", data, "--solver", "power", "--end", "smallest"], 64, "needs --solver lanczos"),
      ([model, "--data", data, "--precision", "bf16"], 64, "too coarse"),
      ([model, "--data", data, "--probes", "1"], 64, "2 to 1000000"),
      (["missing.pt", "--data", data], 1, "missing.pt does not exist"),
    ]
    try "{}".write(toFile: data + ".json", atomically: true, encoding: .utf8)
    for (arguments, status, fragment) in cases {
      let outcome = try Command.run(["hessian"] + arguments)
      #expect(outcome.status == status, "\(arguments)")
      #expect(outcome.sentence.contains(fragment), "\(arguments): \(outcome.errors)")
      #expect(outcome.output.isEmpty)
    }
  }
}
