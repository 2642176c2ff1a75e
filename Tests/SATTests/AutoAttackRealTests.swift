import SwiftTorch
import Testing

@testable import SAT

/// Public robust networks on real images: the flags after each attack, against the Python port (golden/real_networks.py).
@Suite(.serialized) struct AutoAttackRealTests {
  struct Golden: Decodable {
    struct Case: GoldenCase {
      var name: String
      var model: String
      var file: String
      var normalization: String?
      var data: String
      var first: Int
      var norm: Norm
      var epsilon: Double
      var batchSize: Int
      var queries: Int
      var attacks: [String]
      var flags: [String: [Int]]
    }
    var cases: [Case]
  }

  static let golden = Result { try Fixtures.description("autoattack-real", as: Golden.self) }
  static var cases: [Golden.Case] { (try? golden.get().cases) ?? [] }

  /// The attacks of a case with the parameters of the standard version.
  private func attacks(_ golden: Golden.Case, _ mode: AttackMode) throws -> [any Attack] {
    let threat = try ThreatModel(norm: golden.norm, epsilon: golden.epsilon)
    let suite = AttackSuite(AttackSettings(threat: threat, mode: mode, seed: 0, classes: 10))
    let entries = try golden.attacks.map { try #require(AttackRegistry.entry(named: $0)) }
    return try suite.attacks(entries).attacks.map {
      $0 is Square ? Square(threat: threat, mode: mode, seed: 0, queries: golden.queries) : $0
    }
  }

  private func load(_ golden: Golden.Case) throws -> (NetworkClassifier, ImageDataset)? {
    guard let path = RealData.path("checkpoints/\(golden.file)"), let folder = RealData.folder else { return nil }
    let model = try ModelFile.load(
      path: path, architecture: Architecture(name: golden.model),
      normalization: try golden.normalization.map { (text) throws(SATError) in try Normalization(text) },
      execution: Execution(device: "cpu", memoryFormat: .contiguous))
    let data = try DataSource(golden.data).load(.test, root: DataRoot(option: folder)).subset(0..<golden.first)
    return (try #require(model.classifier as? NetworkClassifier), data)
  }

  private func evaluate(_ golden: Golden.Case, _ mode: AttackMode, _ network: NetworkClassifier, _ data: ImageDataset) throws
    -> Evaluation
  {
    let evaluator = Evaluator(
      model: network, data: data, batchSize: golden.batchSize, device: .cpu, layout: mode == .fast ? .channelsLast : .contiguous)
    let plan = EvaluationPlan(try attacks(golden, mode), mode: mode, checks: false)
    return mode == .fast
      ? try network.withPreparedWeights(inputShape: data.imageShape) { try evaluator.run(plan) } : try evaluator.run(plan)
  }

  @Test(arguments: cases)
  func compatFlagsAreTheReferences(golden: Golden.Case) throws {
    guard let (network, data) = try load(golden) else { return }
    let evaluation = try evaluate(golden, .compat, network, data)
    #expect(evaluation.clean.map { $0 ? 1 : 0 } == golden.flags["clean"])
    for attack in evaluation.attacks {
      #expect(attack.flags.map { $0 ? 1 : 0 } == golden.flags[attack.name], "after \(attack.name)")
    }
  }

  /// The other draws of `fast` may break one sample more or less of a few dozen, not more.
  @Test(arguments: cases.filter { $0.name == "cnn-a-linf" || $0.name == "lenet5-linf" })
  func fastLeavesWhatCompatLeaves(golden: Golden.Case) throws {
    guard let (network, data) = try load(golden) else { return }
    let evaluation = try evaluate(golden, .fast, network, data)
    let expected = try #require(golden.flags[golden.attacks.last ?? ""]).reduce(0, +)
    #expect(abs(evaluation.robustCorrect - expected) <= 1, "\(evaluation.robustCorrect), compat \(expected)")
  }
}
