import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// The documents as files. `Fixtures/documents` holds what `sat` wrote of the values below before each had a type that reads it as
/// well.
@Suite struct DocumentTests {
  private static func fixture(_ name: String) throws -> String {
    String(decoding: try Fixtures.bytes("documents/\(name)"), as: UTF8.self)
  }

  private static func data() throws -> ImageDataset {
    try ImageDataset(name: "digits", split: "test", images: .zeros(4, 1, 28, 28), labels: Tensor([0, 1, 1, 2]))
  }

  private static let versions = ["sat": "0.1.0", "libtorch": "2.13.0"]

  private static func maximizer() throws -> InnerMaximizer {
    InnerMaximizer(threat: try ThreatModel(norm: .l2, epsilon: 0.5), steps: 3, stepSize: 0.1)
  }

  /// Writing gives the fixture's bytes, and reading the fixture gives the value that was written.
  private func expect<Document: VersionedDocument>(
    _ document: Document, is name: String, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    #expect(try document.json() + "\n" == Self.fixture(name), sourceLocation: sourceLocation)
    #expect(try Document.read(from: Fixtures.path("documents/\(name)")) == document, sourceLocation: sourceLocation)
  }

  @Test func evaluations() throws {
    let evaluation = Evaluation(
      labels: [0, 1, 1, 2], predictions: [0, 1, 1, 0],
      attacks: [
        .init(name: "pgd", flags: [true, false, true, false], seconds: 1.5, cost: AttackCost(forward: 12, backward: 8)),
        .init(name: "square", flags: [true, false, false, false], seconds: 0.25, cost: AttackCost(forward: 7, backward: 0)),
      ], records: [], warnings: [.init(code: .squareBetter, message: "a/b \"c\"")], seconds: 2.125)
    let threat = try ThreatModel(norm: .linf, epsilon: 8.0 / 255)
    let pgd = PGD(InnerMaximizer(threat: threat, steps: 10, stepSize: 2.0 / 255), seed: 0)
    var attacked = try EvaluationDocument(
      evaluation, model: "runs/digits", data: Self.data(), threat: threat, seed: .max, batchSize: 128, mode: .compat,
      version: .custom, attacks: [pgd])
    attacked.versions = Self.versions
    try expect(attacked, is: "evaluation.json")
    let plain = Evaluation(labels: [0, 1, 1, 2], predictions: [0, 1, 1, 0], attacks: [], records: [], warnings: [], seconds: 0)
    var clean = try EvaluationDocument(plain, model: "m.pt", data: Self.data(), threat: nil, seed: 0, batchSize: 1)
    clean.versions = Self.versions
    try expect(clean, is: "evaluation-clean.json")
  }

  private static func hessian(_ perturbation: InnerMaximizer?) throws -> HessianDocument {
    let analysis = HessianAnalysis(
      loss: 0.1, gradientNorm: 2.5, parameters: 729_418, samples: 4, dtype: .float32, products: 9, seconds: 1.75)
    var document = HessianDocument(analysis, model: "runs/digits", data: try data(), perturbation: perturbation, seed: 7)
    document.versions = versions
    return document
  }

  @Test func hessians() throws {
    try expect(Self.hessian(nil), is: "hessian-bare.json")
    var document = try Self.hessian(Self.maximizer())
    document.eigenvalues = [.init(value: -3.5, residual: 1e-4, iterations: 12, converged: true)]
    document.trace = .init(mean: 12, standardError: 0.5, probes: 30)
    document.density = .init(grid: [0, 0.5], values: [1, 2e-7], width: 0.01)
    document.perSample = .init(
      eigenvalues: [1, -2, 3, 4], residuals: [0.1, 0.2, 0.3, 0.4], converged: [true, false, true, true],
      approximations: ["central": [1, 2, 3, 4], "flat": [1, 1, 1, 1]], spearman: ["central": 0.8, "flat": nil])
    try expect(document, is: "hessian.json")
    let table = HessianTable(document, asked: 2).description
    #expect(
      table.hasPrefix("runs/digits on 4 test images of digits; at l2 epsilon 0.5 adversarial images; 729418 parameters, float32\n"))
    #expect(table.contains("width 0.01; 0.0 % of it well below 0") && table.contains("1 of the 2 eigenvalues that were asked for"))
  }

  @Test func landscapes() throws {
    let network = try NetworkClassifier("mnist-cnn", seed: 1)
    let (data, axis) = (try Self.data(), LossLandscape.Axis(points: 2))
    let values: [Int: LossLandscape.Value] = [
      0: .init(loss: 1, accuracy: 0.25), 1: .init(loss: 2, accuracy: 0.5), 2: .init(loss: 3, accuracy: 0.75),
      3: .init(loss: 0.1, accuracy: 1),
    ]
    func document(_ dimensions: Int, _ examples: String, _ perturbation: InnerMaximizer?, _ vectors: LandscapeDirection.Vectors)
      throws -> LandscapeDocument
    {
      let landscape = LossLandscape(
        network, directions: LandscapeDirection.orthogonal(dimensions, for: try network.differentiableParameters(), seed: 0),
        axes: Array(repeating: axis, count: dimensions), examples: .fixed(.zeros(4, 1, 28, 28)), labels: data.labels)
      var document = LandscapeDocument(
        landscape, values, model: "m", data: data, examples: examples, perturbation: perturbation, vectors: vectors, seed: 3,
        seconds: 0.5)
      document.versions = Self.versions
      return document
    }
    let surface = try document(2, "reattack", Self.maximizer(), .scaled)
    try expect(surface, is: "landscape.json")
    try expect(document(1, "clean", nil, .fixed), is: "landscape-curve.json")
    #expect(surface.csv == "x,y,loss,accuracy\n-1.0,-1.0,1.0,0.25\n1.0,-1.0,2.0,0.5\n-1.0,1.0,3.0,0.75\n1.0,1.0,0.1,1.0\n")
    #expect(
      LandscapeTable(surface).description.hasPrefix("m on 4 test images of digits; reattack examples, l2 epsilon 0.5; 4 points\n"))
  }

  private static func metrics() -> [EpochMetrics] {
    let whole = EpochMetrics(
      epoch: 3, lambda: 0.5, learningRate: 0.01, train: .init(loss: 1.5, accuracy: 0.25),
      validation: .init(clean: 0.75, robust: 0.5, samples: 40),
      smoothness: Smoothness(eigenvalue: 30, trace: 200, traceError: 10, gradientNorm: 1.25),
      perturbation: .init(mean: 0.2, max: 0.3),
      active: [1, 0.5], psi: .init([0.25]), gradientNorm: 2.5, seconds: 12.5, dataSeconds: 0.1, processorSeconds: 20,
      samplesPerSecond: 400,
      time: 1_700_000_000.5, methods: ["p-sat": ["stopped": 0.5]])
    var bare = whole
    bare.lambda = nil
    bare.validation = nil
    bare.smoothness = nil
    bare.methods = [:]
    return [whole, bare]
  }

  @Test func logs() throws {
    let metrics = Self.metrics()
    #expect(try metrics.map { try JSONText.line($0) }.joined() == Self.fixture("metrics.jsonl"))
    #expect(try EpochMetrics.read(from: Fixtures.path("documents/metrics.jsonl")) == metrics)
    let step = StepMetrics(step: 4, epoch: 0, loss: 2, gradientNorm: 0.5, active: [1])
    #expect(try JSONText.line(step) == Self.fixture("steps.jsonl"))
    #expect(try StepMetrics.read(from: Fixtures.path("documents/steps.jsonl")) == [step])
  }

  @Test func statesOfARun() throws {
    let metrics = Self.metrics()
    var sums = EpochSums()
    sums.seconds = 1
    sums.add(
      .init(loss: 2, gradientNorm: 1, labels: [1], predictions: [0], perturbation: [0.5], active: [1, 0], gaps: [0.25]),
      isLate: true)
    var state = TrainingState(
      configuration: try Presets.configuration(named: "digits", method: "p-sat"), trainingImages: 44, dataFingerprint: "abc",
      history: [metrics[0]],
      stepsDone: 5, best: .init(epoch: 3, validation: metrics[0].validation!), stopped: "x/y", epoch: sums, pending: metrics[1])
    state.fingerprints = ["weights.safetensors": "1f"]
    // The state had its slashes escaped, which is the same JSON.
    #expect(try state.json() + "\n" == Self.fixture("state.json").replacing("\\/", with: "/"))
    #expect(try TrainingState.read(from: Fixtures.path("documents/state.json")) == state)
  }

  /// One sentence names the file, what it is and what was expected.
  @Test func filesThatAreNoneGetASentence() throws {
    let scratch = try Scratch()
    let path = scratch.file("document.json")
    let good = try Self.fixture("hessian.json")
    let cases = [
      (good.replacing("sat-hessian/1", with: "sat-hessian/9"), "is sat-hessian/9, but this version of sat reads sat-hessian/1"),
      (good.replacing("sat-hessian/1", with: "sat-bench/1"), "is sat-bench/1, but this version of sat reads sat-hessian/1"),
      (good.replacing("\"loss\"", with: "\"lost\""), "says it is sat-hessian/1 but lacks 'loss'"),
      (good.replacing("\"mean\"", with: "\"median\""), "says it is sat-hessian/1 but lacks 'trace.mean'"),
      (
        good.replacing("\"samples\" : 4,\n  \"seconds\"", with: "\"samples\" : 5,\n  \"seconds\""),
        "is not whole (perSample has 4 eigenvalues of 5 samples)"
      ),
      ("[1]", "has no format, which every document of sat has"), (String(good.prefix(300)), "is not whole JSON"),
    ]
    for (text, reason) in cases {
      try text.write(toFile: path, atomically: true, encoding: .utf8)
      #expect(throws: SATError("\(path) \(reason); make it again with `sat hessian`")) { try HessianDocument.read(from: path) }
    }
    #expect(throws: TorchError.self) { try HessianDocument.read(from: path + ".none") }
    try good.write(toFile: path, atomically: true, encoding: .utf8)
    #expect(throws: SATError("\(path) is sat-hessian/1, but this version of sat reads sat-training/3; \(TrainingState.remedy)")) {
      try TrainingState.read(from: path)
    }
  }
}
