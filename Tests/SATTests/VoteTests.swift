import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// For a model with random draws, the mean of many passes decides about an image, not a single pass.
@Suite struct VoteTests {
  /// Class 0 leads by so much on average, under normal noise of deviation 1; the margin falls by 10 times what the first pixel
  /// rises.
  private final class Noisy: Classifier {
    var execution = Execution()
    var margin: Double
    private(set) var asked = 0
    private let generator: Generator
    init(margin: Double, seed: UInt64) {
      self.margin = margin
      generator = Generator(seed: seed)
    }
    func logits(_ images: Tensor) throws(TorchError) -> Tensor {
      asked += images.size(0)
      let lit = images[.all, 0, 0, 0]
      let noise = Tensor.randn([images.size(0)], generator: generator)
      return Tensor.stacked([noise + margin, 10 * lit], dim: 1)
    }
    func move(to device: Device) {}
  }

  /// Twelve images of class 0 whose first pixel is dark.
  private static func data() throws -> ImageDataset {
    let images = Tensor.rand([12, 1, 3, 3], generator: Generator(seed: 1))
    images[.all, 0, 0, 0].fillInPlace(0)
    return try ImageDataset(name: "dark", split: "test", images: images, labels: Tensor([Int](repeating: 0, count: 12)))
  }

  @Test func aVoteLastsUntilItIsClear() throws {
    let (images, labels) = try Self.data().batch(0..<12)
    func vote(_ margin: Double) throws -> (AveragedClassifier.Vote, asked: Int) {
      let model = Noisy(margin: margin, seed: 3)
      let vote = try AveragedClassifier(model).vote(images, labels)
      #expect(vote.passes == model.asked)
      return (vote, model.asked)
    }
    let (clear, few) = try vote(3)
    #expect(!clear.isRight.contains(false) && !clear.isClear.contains(false))
    #expect(few == 20 * 12)
    let (wrong, many) = try vote(-0.5)
    #expect(!wrong.isRight.contains(true) && !wrong.isClear.contains(false))
    #expect(many > 240 && many < 4800)
    expectClose(wrong.logits[.all, 0], Tensor.full([12], -0.5), absolute: 0.5)
    let (open, all) = try vote(0)
    #expect(open.isClear.filter { $0 }.count <= 1)
    #expect(all > 10_800)
    // A mean that is right ends the other vote at once.
    let right = try AveragedClassifier(Noisy(margin: 0.5, seed: 3)).misclassified(images, labels)
    #expect(!right.isWrong.contains(true))
    #expect(right.passes <= 720)
    let broken = try AveragedClassifier(Noisy(margin: -0.5, seed: 3)).misclassified(images, labels)
    #expect(!broken.isWrong.contains(false))
  }

  @Test func whatIsNoNumberIsNotAskedAgain() throws {
    let (images, labels) = try Self.data().batch(0..<12)
    let nothing = FunctionClassifier { Tensor.full([$0.size(0), 2], Double.nan) }
    #expect(try AveragedClassifier(nothing).vote(images, labels).passes == 240)
  }

  private static func evaluate(_ model: any Classifier, _ attack: any Attack, _ adversarial: AdversarialImages? = nil) throws
    -> Evaluation
  {
    try Evaluator(model: model, data: data(), batchSize: 5, device: .cpu, layout: .contiguous)
      .run(EvaluationPlan([attack], checks: false, expectsRandomness: true), adversarial: adversarial)
  }

  /// Among a hundred looks of 20 passes each the unluckiest has a mean 2.5 · 0.22 below the true one.
  @Test func theUnluckiestOfManyLooksBreaksNothing() throws {
    func run(_ margin: Double, epsilon: Double) throws -> Evaluation {
      let attack = APGD(threat: try ThreatModel(epsilon: epsilon), loss: .crossEntropy, iterations: 100, mode: .fast, seed: 0)
      return try Self.evaluate(Noisy(margin: margin, seed: 5), attack)
    }
    let safe = try run(0.25, epsilon: 0.005)
    #expect(safe.cleanCorrect == 12 && safe.robustCorrect == 12, "their margin is 0.2 at the end of the ball")
    let lost = try run(0.25, epsilon: 0.05)
    #expect(lost.cleanCorrect == 12 && lost.robustCorrect == 0, "and here -0.25")
  }

  /// Says of every image that it was broken.
  private final class Boaster: Attack {
    let name = "boaster"
    let threat: ThreatModel
    private(set) var cost = AttackCost()
    init() throws { threat = try ThreatModel(epsilon: 0.5) }
    func perturb(_ model: any Classifier, _ batch: AttackBatch) throws(TorchError) -> AttackResult {
      // Every other image is really lit.
      let images = batch.images.cloned()
      for row in stride(from: 0, to: batch.count, by: 2) { images[row, 0, 0, 0].fillInPlace(0.2) }
      return AttackResult(images: images, findings: batch.samples.map { _ in Finding(restart: 0, step: 1) })
    }
  }

  @Test func aLastVoteDecidesTheFlag() throws {
    let adversarial = AdversarialImages()
    let evaluation = try Self.evaluate(Noisy(margin: 0.5, seed: 2), try Boaster(), adversarial)
    // In batches of 5, 5 and 2.
    #expect(evaluation.robust == [false, true, false, true, false, false, true, false, true, false, false, true])
    #expect(adversarial.parts.flatMap(\.positions) == [0, 2, 4, 5, 7, 9, 10])
    #expect(evaluation.attacks[0].cost.forward >= 12 * 20, "the votes are counted")
  }

  // MARK: sat verify

  @Test func verificationJudgesAModelThatDrawsByVotesToo() throws {
    let scratch = try Scratch()
    let (data, attack) = (try Self.data(), try Boaster())
    let adversarial = AdversarialImages()
    let evaluation = try Self.evaluate(Noisy(margin: 0.5, seed: 2), attack, adversarial)
    let document = EvaluationDocument(evaluation, model: "noisy", data: data, threat: attack.threat, seed: 0, batchSize: 5)
    let path = "\(scratch.path)/adversarial.safetensors"
    try SavedImages.write(adversarial, data, document, to: path)
    func verify(_ margin: Double) throws -> Verification {
      try Verification.run(
        try SavedImages.read(path), model: Noisy(margin: margin, seed: 9), modelName: "noisy", data: data, batchSize: 5,
        device: .cpu, layout: .contiguous)
    }
    let same = try verify(0.5)
    #expect(same.holds && same.robust.correct == 5, "\(same)")
    #expect(same.warnings.map(\.code) == [.randomized] && VerificationTable(same).description.contains("from pass to pass"))
    let written = try #require(try JSONSerialization.jsonObject(with: JSONEncoder().encode(same)) as? [String: Any])
    #expect((written["warnings"] as? [[String: String]])?.first?["code"] == "randomized")
    // A model that differs is told apart: it is right on the images that count as broken, or wrong on the originals.
    for (margin, failing) in [(3.0, ["batch", "alone"]), (-1, ["clean"])] {
      #expect(try verify(margin).checks.filter { !$0.holds }.map(\.name) == failing)
    }
  }
}
