import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// The jobs of the Hessian and of the landscape: stopped, resumed, refused, and the same as their parts.
@Suite struct MeasurementJobTests {
  private static func model() throws -> LoadedModel {
    let network = try NetworkClassifier("mnist-cnn", seed: 1)
    network.module.setTraining(false)
    network.execution = Execution(attackPrecision: .bf16)
    return LoadedModel(path: "mine", classifier: network, inputShape: [1, 28, 28], device: .cpu)
  }

  private static func data(_ count: Int = 6) throws -> ImageDataset {
    try ImageDataset(
      name: "d", split: "test", images: .rand([count, 1, 28, 28], generator: Generator(seed: 2)),
      labels: Tensor((0..<count).map { $0 % 10 }))
  }

  private static func perturbation(seed: UInt64 = 5) throws -> ImagePerturbation {
    ImagePerturbation(InnerMaximizer(threat: try ThreatModel(epsilon: 0.1), steps: 2, stepSize: 0.05), seed: seed)
  }

  private static func message(_ body: () throws -> Void) -> String {
    (#expect(throws: SATError.self) { try body() })?.message ?? ""
  }

  // MARK: Hessian

  @Test func aHessianJobIsItsParts() throws {
    let (model, data, perturbation) = (try Self.model(), try Self.data(), try Self.perturbation())
    var request = HessianAnalysis.Request()
    request.top = 2
    request.seed = 3
    var phases: [String] = []
    var job = HessianJob(model: model, data: data, request: request, perturbation: perturbation)
    job.batchSize = 4
    let result = try job.run(progress: { if phases.last != $0.phase { phases.append($0.phase) } })
    #expect(phases.first == "perturbing" && phases.contains("eigenvalues"))
    let (images, labels) = try data.batch(0..<6)
    let network = model.classifier as! NetworkClassifier
    let adversarial = try perturbation.maximizer.adversarialImages(
      network, images.contiguous(.contiguous), labels, batchSize: 4, generator: Generator(seed: 5))
    let expected = try HessianAnalysis.measure(network, images: adversarial, labels: labels, request)
    for (value, reference) in zip(result.analysis.eigenvalues!, expected.eigenvalues!) {
      #expect(abs(value.value - reference.value) <= 1e-3 * abs(reference.value))
    }
    let document = result.document
    #expect(document.model == "mine" && document.at == "adversarial" && document.seed == 3 && document.samples == 6)
    #expect(model.classifier.execution == Execution(attackPrecision: .bf16), "the model is as before")
  }

  @Test func float64LeavesTheModelAsItIs() throws {
    let model = try Self.model()
    let before = try model.fingerprint()
    var job = HessianJob(model: model, data: try Self.data(), request: HessianAnalysis.Request())
    job.dtype = .float64
    #expect(try job.run().document.dtype == "float64")
    #expect(try model.fingerprint() == before && model.parameters().allSatisfy { $0.dtype == .float32 })
  }

  @Test func aHessianJobStopsAndRefusesStates() throws {
    let scratch = try Scratch()
    var request = HessianAnalysis.Request()
    request.top = 0
    request.perSample = .init()
    request.approximations = true
    var job = HessianJob(model: try Self.model(), data: try Self.data(3), request: request, perturbation: try Self.perturbation())
    job.state = "\(scratch.path)/state"
    for limit in 0..<3 {
      var asked = 0
      #expect(throws: JobStopped.self) {
        try job.run { _ in
        } shouldStop: {
          asked += 1
          return asked > limit
        }
      }
    }
    let kept = try job.run()
    var plain = job
    plain.state = nil
    let whole = try plain.run()
    #expect(kept.analysis.perSample?.eigenvalues == whole.analysis.perSample?.eigenvalues)
    #expect(kept.document.perSample?.spearman == whole.document.perSample?.spearman)
    #expect(kept.analysis.loss == whole.analysis.loss)
    // The state is complete, so that no sample is measured again.
    var phases: Set<String> = []
    _ = try job.run(progress: { phases.insert($0.phase) })
    #expect(!phases.contains("per-sample eigenvalues"))
    func refusal(_ change: (inout HessianJob) throws -> Void) rethrows -> String {
      var other = job
      try change(&other)
      return Self.message { _ = try other.run() }
    }
    let refusals = [
      (try refusal { $0.perturbation = try Self.perturbation(seed: 6) }, "another images ("),
      (refusal { $0.request.perSample!.tolerance = 0.1 }, "another per-sample eigenvalues ("),
      (refusal { $0.dtype = .float64 }, "another precision (float32, not float64)"),
    ]
    for (sentence, words) in refusals { #expect(sentence.contains(words), "\(sentence)") }
  }

  @Test func aStoppedSpectrumGoesOnFromItsBatches() throws {
    let scratch = try Scratch()
    let path = "\(scratch.path)/state"
    let network = try Self.model().classifier as! NetworkClassifier
    let (images, labels) = (Tensor.rand([6, 1, 28, 28], generator: Generator(seed: 2)), Tensor([0, 1, 2, 3, 4, 5]))
    var request = HessianAnalysis.Request()
    request.top = 0
    request.perSample = .init()
    request.approximations = true
    let analysis = try HessianAnalysis.measure(network, images: images, labels: labels, request)
    func measure(_ path: String, _ images: Tensor, _ labels: Tensor) throws -> HessianAnalysis {
      var store = try SpectrumStore(path, identity: ["model": "a"])
      try store.measure(network, images, labels, request, batch: 2)
      var result = analysis
      store.add(to: &result)
      return result
    }
    // Four of six samples are measured, with other labels, by which what was kept is known again.
    let kept = try #require(try measure(path, images[0..<4], Tensor([9, 9, 9, 9])).perSample).eigenvalues
    let found = try #require(try measure(path, images, labels).perSample).eigenvalues
    let whole = try measure(path + "-of-another", images, labels)
    let eigenvalues = try #require(whole.perSample).eigenvalues
    #expect(found.count == 6 && eigenvalues.count == 6)
    for (value, expected) in zip(found, kept + eigenvalues[4...]) { #expect(abs(value - expected) <= 1e-12 * abs(expected)) }
    #expect(zip(kept, eigenvalues).allSatisfy { abs($0 - $1) > 1e-6 * abs($1) })
    let approximations = try #require(whole.approximations)
    #expect(approximations.keys == analysis.approximations?.keys)
    for estimate in approximations.values {
      #expect(estimate.values.count == 6)
      #expect(estimate.spearman == Spearman.correlation(estimate.values, eigenvalues.map(abs)))
    }
    let error = Self.message { _ = try SpectrumStore(path, identity: ["model": "b"]) }
    #expect(error.contains("the state of a spectrum with another model (a, not b)"), "\(error)")
    // The states of earlier versions were JSON files; such a file stays as it is.
    let old = #"{"format":"sat-spectrum-state/1","identity":"a, 6 images"}"#
    let file = path + "-file"
    try AtomicFile.write(old, to: file)
    let refused = Self.message { _ = try SpectrumStore(file, identity: ["model": "a"]) }
    #expect(refused.contains("is not the state of a spectrum of this version"), "\(refused)")
    #expect(try String(contentsOfFile: file, encoding: .utf8) == old)
  }

  // MARK: Landscape

  @Test func aStoppedLandscapeGoesOn() throws {
    let scratch = try Scratch()
    let model = try Self.model()
    var job = LandscapeJob(
      model: model, data: try Self.data(), examples: .fixed(try Self.perturbation()), axis: .init(points: 3))
    job.seed = 4
    job.workers = 1
    job.batchSize = 3
    let before = try model.fingerprint()
    let whole = try job.run()
    #expect(try model.fingerprint() == before && model.classifier.execution == Execution(attackPrecision: .bf16))
    #expect(whole.values.count == 9 && whole.document.examples == "fixed" && whole.document.model == "mine")
    job.state = "\(scratch.path)/surface"
    var points = 0
    let stopped = #expect(throws: JobStopped.self) {
      try job.run { progress in
        if progress.phase == "landscape" { points = Int(9 * progress.fraction + 0.5) }
      } shouldStop: {
        points >= 4
      }
    }
    #expect(stopped?.done == "4 of 9 points")
    var first: Double?
    let resumed = try job.run { if $0.phase == "landscape" { first = first ?? $0.fraction } }
    #expect(first == 4.0 / 9)
    #expect(resumed.document.loss == whole.document.loss && resumed.document.accuracy == whole.document.accuracy)
    func refusal(_ change: (inout LandscapeJob) throws -> Void) rethrows -> String {
      var other = job
      try change(&other)
      return Self.message { _ = try other.run() }
    }
    let refusals = [
      (refusal { $0.seed = 5 }, "the state of a landscape with another seed (4, not 5)"),
      (try refusal { $0.examples = .fixed(try Self.perturbation(seed: 6)) }, "another examples ("),
      (refusal { $0.axis.end = 2 }, "another grid ("),
    ]
    for (sentence, words) in refusals { #expect(sentence.contains(words), "\(sentence)") }
  }
}
