import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// Tests of archives that treat their input or their modules in unusual ways (golden/scripts.py).
@Suite struct ForeignScriptTests {
  private static var images: Tensor { GoldenNumbers.images([24, 1, 6, 6]) }

  private static func load(_ name: String) throws -> LoadedModel {
    try ModelFile.load(
      path: Fixtures.path("files/odd-\(name).ts"), execution: Execution(device: "cpu", memoryFormat: .contiguous))
  }

  /// An archive that normalises in place gives the plain network's logits and gradients and does not change the caller's images.
  @Test func aModelThatWorksInPlaceGetsACopy() throws {
    let (plain, inPlace) = (try Self.load("plain").classifier, try Self.load("in-place").classifier)
    for layout in [MemoryFormat.contiguous, .channelsLast] {
      let images = Self.images.contiguous(layout)
      for _ in 0..<2 { expectClose(try inPlace.logits(images), try plain.logits(images)) }
      expectIdentical(images, Self.images)
    }
    func gradient(_ model: any Classifier) throws -> Tensor {
      let input = Self.images.requireGrad()
      return try #require(try Tensor.checkedGradient(of: try model.logits(input).square().sum(), withRespectTo: input))
    }
    expectClose(try gradient(inPlace), try gradient(plain))
  }

  @Test func attacksBreakItAsTheyBreakThePlainOne() throws {
    let threat = try ThreatModel(epsilon: 0.1)
    func flags(_ name: String, _ mode: AttackMode) throws -> [[Bool]] {
      let model = try Self.load(name).classifier
      let labels = try Self.load("plain").classifier.logits(Self.images).detached().argmax(dim: 1)
      let data = try ImageDataset(name: "x", split: "test", images: Self.images.cloned(), labels: labels)
      let attacks: [any Attack] = [
        PGD(InnerMaximizer(threat: threat, steps: 4, stepSize: 0.05), seed: 0),
        APGD(threat: threat, loss: .crossEntropy, iterations: 8, mode: mode, seed: 0),
        Square(threat: threat, mode: mode, seed: 0, queries: 20),
      ]
      return try Evaluator(model: model, data: data, batchSize: 10, device: .cpu, layout: .contiguous)
        .run(EvaluationPlan(attacks, isIndividual: true, mode: mode)).attacks.map(\.flags)
    }
    for mode in AttackMode.allCases {
      let expected = try flags("plain", mode)
      #expect(expected.allSatisfy { $0.contains(true) && $0.contains(false) })
      #expect(try flags("in-place", mode) == expected)
    }
  }

  @Test(arguments: [("plain", []), ("training", ["", "linear"]), ("dropout-below", ["head.1"])] as [(String, [String])])
  func modulesInTrainingModeAreNamed(name: String, modules: [String]) throws {
    let model = try Self.load(name)
    #expect(model.trainingModules == modules)
    let warning = model.trainingModeWarning
    #expect(warning.map(\.code) == (modules.isEmpty ? nil : .trainingMode))
    if name == "dropout-below" {
      #expect(warning?.message.contains("(head.1)") == true && warning?.message.contains("switched") == true)
    }
    // All modules are in evaluation mode now.
    expectIdentical(try model.classifier.logits(Self.images), try model.classifier.logits(Self.images))
  }
}
