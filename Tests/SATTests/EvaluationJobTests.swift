import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// The job that `sat evaluate`, the reproduction and Swift programs run.
@Suite struct EvaluationJobTests {
  private static func model(_ precision: Execution.Precision = .fp32) throws -> LoadedModel {
    let network = try NetworkClassifier("mnist-cnn", seed: 1)
    network.module.setTraining(false)
    network.execution = Execution(precision: precision)
    return LoadedModel(path: "mine", classifier: network, inputShape: [1, 28, 28], device: .cpu)
  }

  /// Random images with the class that the network answers as the label, but for the first.
  private static func data(_ count: Int = 10) throws -> ImageDataset {
    let images = Tensor.rand([count, 1, 28, 28], generator: Generator(seed: 2))
    let answers = try withNoGrad { try Self.model().classifier.logits(images).argmax(dim: 1) }
    answers[0..<1].copyInPlace(from: Tensor([(Int(answers[0].item()) + 1) % 10]))
    return try ImageDataset(name: "d", split: "test", images: images, labels: answers)
  }

  private static func attacks(epsilon: Double = 0.004, restarts: Int = 2) throws -> [any Attack] {
    let threat = try ThreatModel(epsilon: epsilon)
    return [
      PGD(InnerMaximizer(threat: threat, steps: 3, stepSize: epsilon / 2), restarts: restarts, seed: 4),
      APGD(threat: threat, loss: .crossEntropy, iterations: 6, mode: .fast, seed: 4),
    ]
  }

  private static func job(mode: AttackMode = .fast) throws -> EvaluationJob {
    EvaluationJob(model: try model(), data: try data(), plan: EvaluationPlan(try attacks(), mode: mode), seed: 4)
  }

  @Test func aJobIsTheEvaluatorWithPreparedWeights() throws {
    let (model, data) = (try Self.model(), try Self.data())
    var job = try Self.job()
    job.keepsImages = true
    job.batchSize = 4
    job.planWarning = .init(code: .fewClasses, message: "few")
    let result = try job.run()
    let evaluator = Evaluator(model: model.classifier, data: data, batchSize: 4, device: .cpu, layout: .channelsLast)
    let network = model.classifier as! NetworkClassifier
    let expected = try network.withPreparedWeights(inputShape: [1, 28, 28]) {
      try evaluator.run(EvaluationPlan(try Self.attacks()))
    }
    #expect(
      result.evaluation.records == expected.records && result.evaluation.attacks.map(\.flags) == expected.attacks.map(\.flags))
    #expect(!expected.records.isEmpty && expected.robustCorrect > 0 && expected.cleanCorrect == 9)
    #expect(result.evaluation.warnings.map(\.code) == [.fewClasses] + expected.warnings.map(\.code))
    let document = result.document
    #expect(document.model == "mine" && document.seed == 4 && document.batchSize == 4 && document.threat?.epsilon == 0.004)
    #expect(document.attacks.map(\.parameters?.steps) == [3, 6] && document.warnings == result.evaluation.warnings)
    let scratch = try Scratch()
    try result.saveImages(to: "\(scratch.path)/adversarial.safetensors")
    #expect(try SavedImages.read("\(scratch.path)/adversarial.safetensors").robust == expected.robust)
    let saved = try SafeTensors.read("\(scratch.path)/adversarial.safetensors")
    let (answers, confidence) = (try #require(saved["answers"]), try #require(saved["confidence"]))
    let logits = try withNoGrad { try network.logits(try #require(saved["images"])) }
    #expect(answers.selecting(Tensor([0]), dim: 1).array(of: Int.self) == expected.predictions)
    #expect(answers.selecting(Tensor([1]), dim: 1).array(of: Int.self) == logits.argmax(dim: 1).array(of: Int.self))
    let shares = logits.softmax(dim: 1).max(dims: [1]) - confidence.selecting(Tensor([1]), dim: 1).reshaped(to: data.count)
    #expect(shares.abs().max().item() < 1e-5)
  }

  @Test func anArchiveInTrainingModeIsInTheDocument() throws {
    let script = try ModelFile.load(path: Fixtures.path("files/odd-training.ts"), execution: Execution())
    let shape = [1, 6, 6]
    let data = try ImageDataset(
      name: "d", split: "test", images: .rand([2] + shape, generator: Generator(seed: 0)), labels: Tensor([0, 1]))
    let result = try EvaluationJob(model: script, data: data, plan: EvaluationPlan([])).run()
    #expect(result.document.warnings.first?.code == .trainingMode && result.document.threat == nil && result.adversarial == nil)
  }

  @Test func aStoppedJobEndsAsOneThatWasNot() throws {
    let scratch = try Scratch()
    var job = try Self.job()
    job.batchSize = 2
    let whole = try job.run()
    job.state = "\(scratch.path)/state"
    var stops = 0
    for limit in stride(from: 1, to: 200, by: 17) {
      var asked = 0
      do {
        let result = try job.run(shouldStop: {
          asked += 1
          return asked > limit
        })
        #expect(result.evaluation.attacks.map(\.flags) == whole.evaluation.attacks.map(\.flags))
        #expect(result.evaluation.records == whole.evaluation.records)
        break
      } catch is JobStopped { stops += 1 }
    }
    #expect(stops > 1)
  }

  /// States of earlier versions name the attacks in the same words, so they stay usable.
  @Test func aStateNamesTheAttacksAndTheirVariants() throws {
    let scratch = try Scratch()
    let threat = try ThreatModel(norm: .l1, epsilon: 2)
    let attacks = [true, false].map {
      APGD(
        name: $0 ? "large" : "small", threat: threat, loss: .crossEntropy, iterations: 6, usesLargeRadii: $0, mode: .fast, seed: 4)
    }
    var job = EvaluationJob(model: try Self.model(), data: try Self.data(2), plan: EvaluationPlan(attacks), seed: 4)
    job.state = "\(scratch.path)/state"
    _ = try job.run()
    let text = try #require(try SafeTensors.read(StatePlace.file(at: job.state!)).metadata["sat.identity"])
    let identity = try JSONDecoder().decode(StateIdentity.self, from: Data(text.utf8))
    #expect(
      identity["attack"]
        == "large steps 6 restarts 1 loss ce eot 1, l1 2.0 in three radii; small steps 6 restarts 1 loss ce eot 1, l1 2.0")
  }

  @Test func aStateOfSomethingElseIsRefused() throws {
    let scratch = try Scratch()
    func refusal(_ mode: AttackMode, _ change: (inout EvaluationJob) throws -> Void) throws -> String? {
      var job = try Self.job(mode: mode)
      job.state = "\(scratch.path)/\(mode.rawValue)"
      _ = try job.run()
      try change(&job)
      do { _ = try job.run() } catch let error as SATError { return error.message }
      return nil
    }
    #expect(try refusal(.fast) { $0.batchSize = 3 } == nil, "in mode fast the batch size changes nothing")
    let refusals = [
      ("another batch size (250, not 3)", try refusal(.compat) { $0.batchSize = 3 }),
      ("another seed (4, not 5)", try refusal(.fast) { $0.seed = 5 }),
      ("another attack (", try refusal(.fast) { $0.plan.attacks = try Self.attacks(epsilon: 0.005) }),
      ("another attack (", try refusal(.fast) { $0.plan.attacks = try Self.attacks(restarts: 3) }),
      ("another plan (one attack after the other, not each attack alone)", try refusal(.fast) { $0.plan.isIndividual = true }),
      (
        "another precision (fp32, not bf16)",
        try refusal(.fast) {
          $0 = EvaluationJob(model: try Self.model(.bf16), data: $0.data, plan: $0.plan, seed: 4)
          $0.state = "\(scratch.path)/fast"
        }
      ),
      (
        "another data (",
        try refusal(.fast) {
          $0 = EvaluationJob(model: $0.model, data: try Self.data(9), plan: $0.plan, seed: 4)
          $0.state = "\(scratch.path)/fast"
        }
      ),
    ]
    for (words, sentence) in refusals { #expect(sentence?.contains(words) == true, "\(sentence ?? "not refused")") }
  }

  @Test func autoAttackIsTheEnsembleAsPublished() throws {
    let job = try EvaluationJob(model: try Self.model(), data: try Self.data(3), autoAttack: ThreatModel(epsilon: 0.1), seed: 3)
    #expect(job.plan.attacks.map(\.name) == AutoAttack.ensemble(.standard).map(\.name))
    #expect(job.version == .standard && job.planWarning == nil && job.seed == 3 && !job.plan.isIndividual)
    let each = try EvaluationJob(
      model: try Self.model(), data: try Self.data(3), autoAttack: ThreatModel(epsilon: 0.1), version: .individual)
    #expect(each.version == .individual && each.plan.isIndividual)
  }

  /// A document must not call an ensemble standard if a parameter of it was changed.
  @Test func theVersionFollowsTheParameters() throws {
    func version(
      _ entries: [AttackEntry], _ version: AutoAttack.Version, _ asked: AttackParameters = .init(), published: Set<String> = []
    )
      throws -> EvaluationJob
    {
      let settings = AttackSettings(threat: try ThreatModel(epsilon: 0.1), version: version, seed: 0, classes: 10)
      return try EvaluationJob(
        model: Self.model(), data: Self.data(3), suite: AttackSuite(settings, asked: asked, published: published), attacks: entries)
    }
    let ensemble = AutoAttack.ensemble(.standard)
    let few = AttackParameters(steps: 20)
    #expect(try version(ensemble, .standard).version == .standard)
    #expect(try version(ensemble, .standard, few).version == .custom)
    #expect(try version(ensemble, .standard, few, published: Set(ensemble.map(\.name))).version == .standard)
    #expect(try version([PGD.entry], .standard, few).version == nil)
    let alone = try version([PGD.entry], .individual)
    #expect(alone.version == .individual && alone.plan.isIndividual)
    #expect(try version([APGD.crossEntropyEntry], .custom, AttackParameters(eot: 3)).plan.expectsRandomness)
    #expect(try !version([APGD.crossEntropyEntry], .custom).plan.expectsRandomness)
  }
}
