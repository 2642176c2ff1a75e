import SwiftTorch
import Testing

@testable import SAT

/// Steps of APGD and FAB against the plain PyTorch of `models/reference_attacks`, from the same stream.
@Suite struct AutoAttackGoldenTests {
  struct Golden: Decodable {
    struct Case: GoldenCase {
      var name: String
      var kind: String
      var norm: String
      var loss: String?
      var epsilon: Double
      var rank: Int?
      var checkpoints: [Int]?
      var unbroken: [Int]?
    }
    var shape: [Int]
    var labels: [Int]
    var cases: [Case]
  }

  static let golden = Result { try Fixtures.description("autoattack", as: Golden.self) }

  static func cases(_ kind: String) -> [Golden.Case] { ((try? golden.get().cases) ?? []).filter { $0.kind == kind } }

  @Test func thereAreCases() { #expect(Self.cases("apgd").count >= 5 && Self.cases("fab").count >= 5) }

  private func search() throws -> BatchSearch {
    let golden = try Self.golden.get()
    let network = try NetworkClassifier.golden("cnn-a", ["channels": "1"])
    let images = GoldenNumbers.images(golden.shape)
    let logits = try network.logits(images).detached()
    #expect(logits.argmax(dim: 1).array(of: Int.self) == golden.labels)
    let batch = AttackBatch(images: images, labels: Tensor(golden.labels), samples: Array(golden.labels.indices), logits: logits)
    return try BatchSearch(network, batch, .compat, name: "golden", seed: 0)
  }

  @Test(arguments: cases("apgd"))
  func apgdTakesTheSameSteps(golden: Golden.Case) throws {
    let tensors = try Fixtures.tensors("autoattack")
    let threat = try ThreatModel(norm: #require(Norm(rawValue: golden.norm)), epsilon: golden.epsilon)
    let loss = golden.loss == "ce" ? AttackLoss.crossEntropy : .dlr
    let search = try search()
    let attack = APGD(threat: threat, loss: loss, targets: golden.rank == 0 ? 0 : 1, mode: .compat, seed: 0)
    var (losses, sizes, checks): ([Tensor], [Tensor], [Int]) = ([], [], [])
    var run = APGDRun(norm: threat.norm, radius: golden.epsilon, iterations: 100, loss: loss, passes: 1)
    run.onStep = { losses.append($1) }
    run.onCheck = {
      checks.append($0 - 1)
      sizes.append($1)
    }
    try search.run(targets: attack.targets, restarts: 1) { (rows) throws(TorchError) in _ = try run(rows, from: attack.start(rows))
    }
    #expect(checks == golden.checkpoints)
    // Once the loss stops growing, rounding decides each comparison, and the two runs drift apart slightly.
    let same = [.linf: 8, .l2: 6, .l1: 12][threat.norm]!
    let iterations = try #require(golden.checkpoints)[same - 1] + 1
    let (expectedSizes, expectedLosses) = (try tensors["\(golden.name)/steps"], try tensors["\(golden.name)/losses"])
    expectClose(Tensor.stacked(sizes)[..<same], expectedSizes[..<same], absolute: 0, relative: 1e-6, "step sizes")
    let found = Tensor.stacked(losses)
    expectClose(found[..<iterations], expectedLosses[..<iterations], absolute: 5e-5, relative: 1e-5, "losses")
    expectClose(found, expectedLosses, absolute: 2e-2, relative: 0, "losses to the end")
    #expect(search.result.findings.map { $0 == nil ? 1 : 0 } == golden.unbroken)
  }

  @Test(arguments: cases("fab"))
  func fabFindsTheSameNorms(golden: Golden.Case) throws {
    let threat = try ThreatModel(norm: #require(Norm(rawValue: golden.norm)), epsilon: golden.epsilon)
    let search = try search()
    // Every rank up to the wanted one is run; with an epsilon that nothing is within, all samples take part in each.
    var run = FABRun(threat: try ThreatModel(norm: threat.norm, epsilon: 1e-9), iterations: 100)
    var smallest = Tensor.zeros(0)
    run.onStep = { smallest = $1 }
    try search.run(targets: max(try #require(golden.rank) - 1, 0), restarts: 1) { (rows) throws(TorchError) in
      try run(rows, from: rows.clean)
    }
    let expected = try Fixtures.tensors("autoattack")["\(golden.name)/norms"]
    expectClose(
      smallest.replacing(with: .full(like: smallest, 1e10), where: !smallest.isFinite()), expected, absolute: 1e-6, relative: 1e-4)
  }
}
