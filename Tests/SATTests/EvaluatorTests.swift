import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// An attack that breaks chosen samples by lighting their first pixel, and remembers what it was given.
private class ScriptedAttack: Attack {
  class var needsGradients: Bool { true }
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
    self.name = name
    self.victims = victims
    threat = try ThreatModel(epsilon: epsilon)
  }

  func perturb(_ model: any Classifier, _ batch: AttackBatch) throws(TorchError) -> AttackResult {
    if let dies, batches.count == dies { throw TorchError(.runtime, "killed") }
    // One pixel differs in all images, so it identifies them.
    let pixels = try! EvaluatorTests.data().images[.all, 0, 2, 2].array(of: Float.self)
    let positions = batch.images[.all, 0, 2, 2].array(of: Float.self).map { pixels.firstIndex(of: $0)! }
    batches.append(positions)
    images.append(batch.images)
    cost += AttackCost(forward: batch.count, backward: 0)
    let result = batch.images.cloned()
    var findings: [Finding?] = []
    for (row, sample) in positions.enumerated() {
      let isVictim = victims.contains(sample)
      if isVictim { result[row, 0, 0, 0].fillInPlace(1) }
      findings.append(isVictim && finds ? Finding(target: nil, restart: 0, step: sample) : nil)
    }
    return AttackResult(images: result, findings: findings)
  }
}

/// A scripted attack that uses no gradients.
private final class ScriptedSearch: ScriptedAttack { override class var needsGradients: Bool { false } }

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
    labels[3] = 1
    labels[11] = 1
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

  static let identity: StateIdentity = ["model": "m", "data": "d"]

  @Test(arguments: 0..<10)
  func aKilledEvaluationEndsAsOneThatWasNot(death: Int) throws {
    let scratch = try Scratch()
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
    let scratch = try Scratch()
    let folder = "\(scratch.path)/state"
    var store: EvaluationStore? = try EvaluationStore(folder, identity: Self.identity, interval: .zero)
    _ = try Self.evaluator().run(EvaluationPlan([try ScriptedAttack("a", breaks: [])], checks: false), store: store)
    let shared = #expect(throws: SATError.self) { _ = try EvaluationStore(folder, identity: Self.identity) }
    #expect(shared?.message.contains("another process is keeping its state in") == true)
    store = nil
    let error = #expect(throws: SATError.self) { _ = try EvaluationStore(folder, identity: ["model": "m", "data": "other"]) }
    #expect(error?.message.contains("another data (d, not other)") == true, "\(error?.message ?? "")")
    for contents in [["sat.state": "{}"], ["sat.state": "{}", "sat.format": "sat-evaluation-state/1"]] {
      try SafeTensors(tensors: [("logits", .zeros(1))], metadata: contents).write(to: "\(folder)/state.safetensors")
      let old = #expect(throws: SATError.self) { _ = try EvaluationStore(folder, identity: Self.identity) }
      #expect(old?.message.contains("is not the state of an evaluation of this version") == true)
    }
    try Data("cut".utf8).write(to: URL(fileURLWithPath: "\(folder)/state.safetensors"))
    #expect(throws: SATError.self) { _ = try EvaluationStore(folder, identity: Self.identity) }
    #expect(
      try Data(contentsOf: URL(fileURLWithPath: "\(folder)/state.safetensors")) == Data("cut".utf8), "nothing is written over")
    #expect(throws: SATError.self) { _ = try EvaluationStore("\(folder)/state.safetensors", identity: Self.identity) }
  }

  @Test func progressCountsTheBatchUnderWay() throws {
    let problem = LinearOracle(seed: 3)
    let data = try ImageDataset(name: "l", split: "test", images: problem.images, labels: problem.labels)
    var fractions: [Double] = []
    _ = try Evaluator(model: problem.model, data: data, batchSize: 12, device: .cpu, layout: .contiguous).run(
      EvaluationPlan([Square(threat: try ThreatModel(epsilon: 0.001), seed: 0, queries: 50)], checks: false)
    ) { progress in if progress.phase == "square" { fractions.append(progress.fraction) } }
    #expect(fractions == fractions.sorted() && fractions.last == 1)
    #expect(fractions.count > 50 && fractions[10] < 0.5)
  }

  @Test func compatTellsHowFarABatchIs() throws {
    let problem = LinearOracle(seed: 3)
    let data = try ImageDataset(name: "l", split: "test", images: problem.images, labels: problem.labels)
    let threat = try ThreatModel(epsilon: 0.001)
    let attacks: [any Attack] = [
      APGD(threat: threat, loss: .crossEntropy, iterations: 20, mode: .compat, seed: 0),
      FAB(threat: threat, targets: 9, iterations: 20, mode: .compat, seed: 0),
      PGD(InnerMaximizer(threat: threat, steps: 10, stepSize: 0.001), restarts: 2, seed: 0),
    ]
    var fractions: [String: [Double]] = [:]
    _ = try Evaluator(model: problem.model, data: data, batchSize: 100, device: .cpu, layout: .contiguous).run(
      EvaluationPlan(attacks, mode: .compat, checks: false)
    ) { progress in fractions[progress.phase, default: []].append(progress.fraction) }
    for name in ["apgd-ce", "fab-t", "pgd"] {
      let found = try #require(fractions[name])
      #expect(found == found.sorted() && found.last == 1, "\(name)")
      // How many points FAB looks at twice is the model's affair.
      #expect(
        found.count > 20 && found[found.count / 2] > 0.3 && (name == "fab-t" || found[found.count / 2] < 0.7), "\(name): \(found)")
    }
  }

  // MARK: Models that draw

  /// Adds so much to the wrong class in every fourth pass, to a margin of 1.
  private static func fickle(_ shift: Double) -> FunctionClassifier {
    var passes = 0
    return FunctionClassifier { images in
      passes += 1
      let level = 0.0 * images.sum(dims: [1, 2, 3])
      return Tensor.stacked([level + 1, level + (passes % 4 == 0 ? shift : 0.0)], dim: 1)
    }
  }

  @Test func noSinglePassDecidesInFast() throws {
    func run(_ shift: Double, _ mode: AttackMode, expected: Bool, iterations: Int = 9) throws -> Evaluation {
      let attack = APGD(threat: try ThreatModel(epsilon: 0.1), loss: .crossEntropy, iterations: iterations, mode: mode, seed: 0)
      let plan = EvaluationPlan([attack], mode: mode, expectsRandomness: expected)
      return try Evaluator(model: Self.fickle(shift), data: Self.data(), batchSize: 20, device: .cpu, layout: .contiguous).run(plan)
    }
    for expected in [true, false] {
      // One pass in four is wrong, the mean is right; and then the mean is wrong too.
      let right = try run(3, .fast, expected: expected)
      #expect(right.cleanCorrect == 18 && right.robustCorrect == 18)
      #expect(right.warnings.contains { $0.code == .randomized } == !expected)
      #expect(try run(8, .fast, expected: expected).cleanCorrect == 2)
      // In the reference, one pass after the attack decides; the model has four kinds of passes.
      #expect(try Set((9...12).map { try run(3, .compat, expected: expected, iterations: $0).robustCorrect }) == [0, 18])
    }
  }

  // MARK: Checks

  private func warnings(
    _ model: any Classifier, _ attacks: [any Attack], images: Tensor? = nil, labels: Tensor? = nil, classes: Int = 4
  ) throws -> (codes: Set<Evaluation.Warning.Code>, evaluation: Evaluation) {
    let x = images ?? GoldenNumbers.images([40, 1, 6, 6])
    let y: Tensor
    if let labels { y = labels } else { y = withNoGrad { try! model.confirmedLogits(x) }.argmax(dim: 1) }
    let data = try ImageDataset(name: "check", split: "test", images: x, labels: y)
    let evaluation = try Evaluator(model: model, data: data, batchSize: 16, device: .cpu, layout: .contiguous).run(
      EvaluationPlan(attacks))
    return (Set(evaluation.warnings.map(\.code)), evaluation)
  }

  static func script(_ name: String) throws -> ScriptClassifier {
    let script = try ScriptModule(FileContents(Fixtures.bytes("files/odd-\(name).ts"), name: name))
    try script.setTraining(false)
    return ScriptClassifier(script, normalization: nil)
  }

  static func pgd() throws -> PGD {
    PGD(InnerMaximizer(threat: try ThreatModel(epsilon: 0.05), steps: 3, stepSize: 0.03), seed: 0)
  }

  @Test(
    arguments: [
      ("plain", []), ("training", []), ("softmax", [.softmaxOutput]), ("dropout", [.randomized, .dropout]),
      ("noise", [.randomized]),
      ("memory", [.randomized, .dynamicDefense]), ("optimising", [.dynamicDefense]), ("rounding", [.zeroGradient]),
      ("detached", [.notDifferentiable]), ("batch-statistics", [.trainingMode]), ("first-row", [.trainingMode, .zeroGradient]),
      ("in-place", []), ("not-finite", [.nonFinite]),
      ("backward", [.dynamicDefense]), ("adapting", [.dynamicDefense]), ("square-root", [.nonFinite]),
      // Other types than the images' are converted, there and back.
      ("double", []), ("half", []), ("bfloat16", []), ("double-logits", []), ("half-logits", []),
    ] as [(String, Set<Evaluation.Warning.Code>)])
  func oddModelsAreNamed(name: String, expected: Set<Evaluation.Warning.Code>) throws {
    let (codes, evaluation) = try warnings(
      try Self.script(name), [try Self.pgd(), Square(threat: try ThreatModel(epsilon: 0.05), seed: 0, queries: 20)])
    // Square may well find more than three steps of gradient ascent; that is another matter. So is how often a model that draws
    // agrees with the labels, which are a draw of its own.
    let others: Set<Evaluation.Warning.Code> = expected.contains(.randomized) ? [.squareBetter, .inputRange] : [.squareBetter]
    #expect(codes.subtracting(others) == expected, "\(evaluation.warnings)")
    #expect(evaluation.attacks.map(\.name) == (name == "detached" ? ["square"] : ["pgd", "square"]))
  }

  @Test func withoutGradientsAnAttackIsNamedThatNeedsNone() throws {
    let error = #expect(throws: SATError.self) { _ = try warnings(try Self.script("detached"), [try Self.pgd()]) }
    #expect(error?.message.contains("pgd") == true && error?.message.contains("--attack square") == true)
  }

  @Test func answersThatAreNoLogitsAreRefused() throws {
    let data = try ImageDataset(
      name: "six", split: "test", images: GoldenNumbers.images([6, 1, 6, 6]), labels: Tensor([0, 1, 2, 3, 0, 1]))
    for (name, words) in [
      ("pair", ["tuple", "one tensor"]), ("named", ["dict", "one tensor"]), ("counts", ["int64", "floats"]),
      ("fixed-batch", ["does not take", "[3, 36]"]),
      ("one-row", ["batches of one size only", "trace it without a fixed batch size"]),
    ] {
      let path = Fixtures.path("files/odd-\(name).ts")
      let model = try ModelFile.load(path: path, execution: Execution(device: "cpu", memoryFormat: .contiguous))
      let error = #expect(throws: SATError.self) { try model.check(data) }
      for word in words { #expect(error?.message.lowercased().contains(word) == true, "\(name): \(error?.message ?? "")") }
      #expect(error?.message.contains("\n") == false)
    }
  }

  /// A gradient that is NaN at some pixels must not spread to the images.
  @Test func holesInTheGradientAreLeftAlone() throws {
    let model = try Self.script("square-root")
    let images = GoldenNumbers.images([16, 1, 6, 6])
    let logits = try withNoGrad { () throws(TorchError) in try model.logits(images) }
    let batch = AttackBatch(images: images, labels: logits.argmax(dim: 1), samples: Array(0..<16), logits: logits)
    for norm in Norm.allCases {
      let threat = try ThreatModel(norm: norm, epsilon: [.linf: 0.2, .l2: 1, .l1: 4][norm]!)
      for mode in AttackMode.allCases {
        for attack: any Attack in [
          APGD(threat: threat, loss: .crossEntropy, iterations: 10, mode: mode, seed: 0),
          FAB(threat: threat, targets: 3, iterations: 10, mode: mode, seed: 0),
        ] {
          let result = try attack.perturb(model, batch)
          #expect(result.images.isFinite().all().item() == 1)
          #expect(result.findings.contains { $0 != nil }, "\(attack.name) \(norm) \(mode) moves the others")
        }
      }
    }
  }

  @Test func aNetworkInTrainingModeIsNamed() throws {
    let network = try NetworkClassifier.golden("small-cnn")
    network.module.setTraining(true)
    let images = GoldenNumbers.images([8, 1, 28, 28])
    #expect(
      try warnings(network, [], images: images, labels: Tensor([Int](repeating: 0, count: 8))).codes.isSuperset(of: [
        .trainingMode, .dropout,
      ]))
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
    let (blind, square) = (try ScriptedAttack("blind", breaks: [0]), try ScriptedSearch("square", breaks: [1, 2]))
    let warnings = try Self.evaluator().run([blind, square]).warnings
    #expect(warnings.map(\.code) == [.squareBetter] && warnings[0].message.hasPrefix("Square, which uses no gradients, broke 2"))
    #expect(
      try Self.evaluator().run([blind, ScriptedAttack("square", breaks: [1, 2])]).warnings.isEmpty, "the name does not count")
    #expect(try Self.evaluator().run([try ScriptedAttack("blind", breaks: [0, 1, 2]), square]).warnings.isEmpty)
    let plan = EvaluationPlan([square, try ScriptedAttack("blind", breaks: [0])], isIndividual: true, checks: false)
    #expect(try Self.evaluator().run(plan).warnings.map(\.code) == [.squareBetter], "in whatever order")
  }
}
