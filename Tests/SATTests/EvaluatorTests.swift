import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// An attack that breaks chosen samples by lighting their first pixel, and remembers what it was given.
private final class ScriptedAttack: Attack {
  let name: String
  let threat: ThreatModel
  private(set) var cost = AttackCost()
  private(set) var batches: [[Int]] = []
  private(set) var images: [Tensor] = []
  private let victims: Set<Int>
  /// Throws before this many batches, as if the process ended there.
  var dies: Int?
  var finds = true

  init(_ name: String, breaks victims: Set<Int>, epsilon: Double = 1) throws {
    (self.name, self.victims, threat) = (name, victims, try ThreatModel(epsilon: epsilon))
  }

  func perturb(_ model: any Classifier, _ batch: AttackBatch) throws(TorchError) -> AttackResult {
    if let dies, batches.count == dies { throw TorchError(.runtime, "killed") }
    batches.append(batch.samples)
    images.append(batch.images)
    cost += AttackCost(forward: batch.count, backward: 0)
    let result = batch.images.cloned()
    var findings: [Finding?] = []
    for (row, sample) in batch.samples.enumerated() {
      let isVictim = victims.contains(sample)
      if isVictim { result[row, 0, 0, 0].fillInPlace(1) }
      findings.append(isVictim && finds ? Finding(target: nil, restart: 0, step: sample) : nil)
    }
    return AttackResult(images: result, findings: findings)
  }
}

@Suite struct EvaluatorTests {
  /// Class 1 where the first pixel is lit, else class 0; 20 dark images of class 0, of which two are labelled wrongly.
  static func model() -> FunctionClassifier {
    FunctionClassifier { images in
      let lit = images[.all, 0, 0, 0]
      return Tensor.stacked([0.5 - lit, lit - 0.5], dim: 1)
    }
  }

  static func data() throws -> ImageDataset {
    let images = Tensor.rand([20, 1, 3, 3], generator: Generator(seed: 1)) * 0.2
    var labels = [Int](repeating: 0, count: 20)
    (labels[3], labels[11]) = (1, 1)
    return try ImageDataset(name: "dark", split: "test", images: images, labels: Tensor(labels))
  }

  static func evaluator(batchSize: Int = 4) throws -> Evaluator {
    Evaluator(model: model(), data: try data(), batchSize: batchSize, device: .cpu, layout: .contiguous)
  }

  @Test func everyAttackGetsWhatIsLeftOfTheOriginals() throws {
    let (a, b) = (try ScriptedAttack("a", breaks: [0, 5, 19]), try ScriptedAttack("b", breaks: [1, 5]))
    let evaluation = try Self.evaluator().run([a, b])
    #expect(evaluation.cleanCorrect == 18)
    #expect(a.batches == [[0, 1, 2, 4], [5, 6, 7, 8], [9, 10, 12, 13], [14, 15, 16, 17], [18, 19]])
    #expect(b.batches == [[1, 2, 4, 6], [7, 8, 9, 10], [12, 13, 14, 15], [16, 17, 18]], "blocks are cut anew")
    #expect(evaluation.attacks.map(\.robust) == [15, 14])
    #expect(evaluation.robustCorrect == 14)
    #expect(evaluation.records.map(\.sample) == [0, 5, 19, 1] && evaluation.records.map(\.attack) == ["a", "a", "a", "b"])
    #expect(evaluation.records.map(\.finding.step) == [0, 5, 19, 1])
    let originals = try Self.data().images
    for (positions, images) in zip(b.batches, b.images) { expectIdentical(images, originals.selecting(Tensor(positions))) }
    #expect(evaluation.attacks.map(\.cost.forward) == [18, 15])
  }

  @Test func individualAttacksSeeEverythingAndTheWorstCaseIsCounted() throws {
    let (a, b) = (try ScriptedAttack("a", breaks: [0, 5, 19]), try ScriptedAttack("b", breaks: [1, 5]))
    let adversarial = AdversarialImages()
    let evaluation = try Self.evaluator().run(EvaluationPlan([a, b], isIndividual: true, checks: false), adversarial: adversarial)
    #expect(evaluation.attacks.map(\.robust) == [15, 16])
    #expect(evaluation.robustCorrect == 14)
    #expect(evaluation.records.count == 5)
    #expect(adversarial.parts.flatMap(\.positions).sorted() == [0, 1, 5, 19], "the first image of a sample is kept")
    #expect(try EvaluationRecords.text(evaluation).split(separator: "\n").count == 21)
  }

  @Test func inCompatTheFlagIsOnePassMore() throws {
    let silent = try ScriptedAttack("silent", breaks: [2, 7])
    silent.finds = false
    #expect(try Self.evaluator().run(EvaluationPlan([silent], mode: .fast, checks: false)).robustCorrect == 18)
    let again = try ScriptedAttack("silent", breaks: [2, 7])
    again.finds = false
    #expect(try Self.evaluator().run(EvaluationPlan([again], mode: .compat, checks: false)).robustCorrect == 16)
  }

  @Test func anAttackOutsideItsThreatModelIsRefused() throws {
    let strong = try ScriptedAttack("strong", breaks: [4], epsilon: 0.5)
    let error = #expect(throws: TorchError.self) { try Self.evaluator().run([strong]) }
    #expect(error?.message.contains("strong left its threat model") == true)
  }

  // MARK: State

  static let identity: EvaluationStore.Identity = [("model", "m"), ("data", "d")]

  @Test(arguments: 0..<10)
  func aKilledEvaluationEndsAsOneThatWasNot(death: Int) throws {
    let scratch = try ModelFileTests.Scratch()
    func attacks(_ death: Int?) throws -> [ScriptedAttack] {
      let attacks = [try ScriptedAttack("a", breaks: [0, 5, 19]), try ScriptedAttack("b", breaks: [1, 5, 18])]
      if let death { attacks[death < 5 ? 0 : 1].dies = death < 5 ? death : death - 5 }
      return attacks
    }
    func run(_ attacks: [ScriptedAttack]) throws -> (Evaluation, Tensor) {
      let store = try EvaluationStore("\(scratch.path)/state", identity: Self.identity, interval: .zero)
      let adversarial = AdversarialImages()
      let evaluation = try Self.evaluator().run(EvaluationPlan(attacks, checks: false), adversarial: adversarial, store: store)
      return (evaluation, try adversarial.merged(into: Self.data()))
    }
    let adversarial = AdversarialImages()
    let whole = try Self.evaluator().run(EvaluationPlan(try attacks(nil), checks: false), adversarial: adversarial)
    let dying = try attacks(death)
    if death < 9 { #expect(throws: TorchError.self) { try run(dying) } } else { _ = try run(dying) }
    let going = try attacks(nil)
    let (resumed, images) = try run(going)
    #expect(resumed.attacks.map(\.flags) == whole.attacks.map(\.flags))
    #expect(resumed.attacks.map(\.cost) == whole.attacks.map(\.cost))
    #expect(resumed.records == whole.records)
    expectIdentical(images, try adversarial.merged(into: Self.data()))
    let all = try attacks(nil)
    _ = try Self.evaluator().run(all)
    for (index, attack) in all.enumerated() {
      #expect(dying[index].batches + going[index].batches == attack.batches, "nothing is done twice and nothing left out")
    }
  }

  @Test func theStateOfSomethingElseIsRefused() throws {
    let scratch = try ModelFileTests.Scratch()
    let folder = "\(scratch.path)/state"
    let store = try EvaluationStore(folder, identity: Self.identity, interval: .zero)
    _ = try Self.evaluator().run(EvaluationPlan([try ScriptedAttack("a", breaks: [])], checks: false), store: store)
    let error = #expect(throws: SATError.self) { _ = try EvaluationStore(folder, identity: [("model", "m"), ("data", "other")]) }
    #expect(error?.message.contains("another data (d, not other)") == true, "\(error?.message ?? "")")
    try SafeTensors(tensors: [("logits", .zeros(1))]).write(to: "\(folder)/state.safetensors")
    #expect(throws: SATError.self) { _ = try EvaluationStore(folder, identity: Self.identity) }
    try Data("cut".utf8).write(to: URL(fileURLWithPath: "\(folder)/state.safetensors"))
    #expect(throws: TorchError.self) { _ = try EvaluationStore(folder, identity: Self.identity) }
    #expect(throws: SATError.self) { _ = try EvaluationStore("\(folder)/state.safetensors", identity: Self.identity) }
  }

  @Test func progressCountsTheBatchUnderWay() throws {
    let problem = SquareTests.Linear(seed: 3)
    let data = try ImageDataset(name: "l", split: "test", images: problem.images, labels: problem.labels)
    var fractions: [Double] = []
    _ = try Evaluator(model: problem.model, data: data, batchSize: 12, device: .cpu, layout: .contiguous).run(
      EvaluationPlan([Square(threat: try ThreatModel(epsilon: 0.001), seed: 0, queries: 50)], checks: false)
    ) { progress in if progress.phase == "square" { fractions.append(progress.fraction) } }
    #expect(fractions == fractions.sorted() && fractions.last == 1)
    #expect(fractions.count > 50 && fractions[10] < 0.5)
  }

  // MARK: Checks

  private func warnings(
    _ model: any Classifier, _ attacks: [any Attack], images: Tensor? = nil, labels: Tensor? = nil, classes: Int = 4
  ) throws -> (codes: Set<Evaluation.Warning.Code>, evaluation: Evaluation) {
    let x = images ?? GoldenNumbers.images([40, 1, 6, 6])
    let y: Tensor
    if let labels { y = labels } else { y = withNoGrad { try! model.confirmedLogits(x) }.argmax(dim: 1) }
    let data = try ImageDataset(name: "check", split: "test", images: x, labels: y)
    let evaluation = try Evaluator(model: model, data: data, batchSize: 16, device: .cpu, layout: .contiguous).run(EvaluationPlan(attacks))
    return (Set(evaluation.warnings.map(\.code)), evaluation)
  }

  static func script(_ name: String) throws -> ScriptClassifier {
    let script = try ScriptModule(bytes: Fixtures.bytes("files/odd-\(name).ts"), name: name)
    try script.setTraining(false)
    return ScriptClassifier(script, normalization: nil)
  }

  static func pgd() throws -> PGD {
    PGD(InnerMaximizer(threat: try ThreatModel(epsilon: 0.05), steps: 3, stepSize: 0.03), seed: 0)
  }

  @Test(arguments: [
    ("plain", []), ("training", []), ("softmax", [.softmaxOutput]), ("dropout", [.randomized, .dropout]), ("noise", [.randomized]),
    ("memory", [.randomized, .dynamicDefense]), ("optimising", [.dynamicDefense]), ("rounding", [.zeroGradient]),
    ("detached", [.notDifferentiable]), ("batch-statistics", [.trainingMode]), ("not-finite", [.nonFinite]),
  ] as [(String, Set<Evaluation.Warning.Code>)])
  func oddModelsAreNamed(name: String, expected: Set<Evaluation.Warning.Code>) throws {
    let (codes, evaluation) = try warnings(try Self.script(name), [try Self.pgd(), Square(threat: try ThreatModel(epsilon: 0.05), seed: 0, queries: 20)])
    // Square may well find more than three steps of gradient ascent; that is another matter.
    #expect(codes.subtracting([.squareBetter]) == expected, "\(evaluation.warnings)")
    #expect(evaluation.attacks.map(\.name) == (name == "detached" ? ["square"] : ["pgd", "square"]))
  }

  @Test func aNetworkInTrainingModeIsNamed() throws {
    let architecture = Architecture(name: "small-cnn")
    let network = NetworkClassifier(try architecture.make(generator: Generator(seed: 0)), architecture: architecture, normalization: nil)
    GoldenNumbers.fill(network.module)
    let images = GoldenNumbers.images([8, 1, 28, 28])
    #expect(try warnings(network, [], images: images, labels: Tensor([Int](repeating: 0, count: 8))).codes.isSuperset(of: [.trainingMode, .dropout]))
    network.module.setTraining(false)
    #expect(try warnings(network, [], images: images).codes.isEmpty)
  }

  @Test func constantLogitsAndDarkImagesAreNamed() throws {
    let constant = FunctionClassifier { Tensor.ones([$0.size(0), 3]) + 0.0 * $0.sum(dims: [1, 2, 3]).unsqueezed(dim: 1) }
    let (codes, evaluation) = try warnings(constant, [try Self.pgd()], images: GoldenNumbers.images([9, 1, 6, 6]) * 0.01)
    #expect(codes == [.zeroGradient, .inputRange])
    #expect(evaluation.robustCorrect == 9, "an attack cannot break what never changes")
  }

  @Test func squareFindingMoreThanGradientsIsNamed() throws {
    let (blind, square) = (try ScriptedAttack("blind", breaks: [0]), try ScriptedAttack("square", breaks: [1, 2]))
    #expect(try Self.evaluator().run([blind, square]).warnings.map(\.code) == [.squareBetter])
    #expect(try Self.evaluator().run([try ScriptedAttack("blind", breaks: [0, 1, 2]), square]).warnings.isEmpty)
    let plan = EvaluationPlan([square, try ScriptedAttack("blind", breaks: [0])], isIndividual: true, checks: false)
    #expect(try Self.evaluator().run(plan).warnings.map(\.code) == [.squareBetter], "in whatever order")
  }
}
