import SwiftTorch
import Testing

@testable import SAT

/// On a public robust network and real images: what `fast` finds depends on the images alone.
@Suite(.serialized) struct AutoAttackInvarianceTests {
  private func load() throws -> (NetworkClassifier, ImageDataset)? {
    guard let path = RealData.path("checkpoints/advertorch_mnist_lenet5_advtrained.pt"), let folder = RealData.folder else {
      return nil
    }
    let model = try ModelFile.load(
      path: path, architecture: Architecture(name: "lenet5"), execution: Execution(device: "cpu", memoryFormat: .contiguous))
    let data = try DataSource("mnist").load(.test, root: DataRoot(option: folder)).subset(0..<64)
    return (try #require(model.classifier as? NetworkClassifier), data)
  }

  /// The ensemble with a small budget, in a radius where it breaks some and leaves some.
  private func attacks() throws -> [any Attack] {
    let threat = try ThreatModel(epsilon: 0.36)
    return [
      APGD(threat: threat, loss: .crossEntropy, iterations: 10, mode: .fast, seed: 0),
      APGD(threat: threat, loss: .dlr, targets: 3, iterations: 8, mode: .fast, seed: 0),
      FAB(threat: threat, targets: 3, iterations: 8, mode: .fast, seed: 0), Square(threat: threat, seed: 0, queries: 60),
    ]
  }

  @Test func flagsDependOnTheImagesAlone() throws {
    guard let (network, data) = try load() else { return }
    func run(_ data: ImageDataset, _ batchSize: Int) throws -> (Evaluation, Tensor) {
      let adversarial = AdversarialImages()
      let evaluation = try network.withPreparedWeights(inputShape: data.imageShape) {
        try Evaluator(model: network, data: data, batchSize: batchSize, device: .cpu, layout: .channelsLast)
          .run(EvaluationPlan(attacks(), checks: false), adversarial: adversarial)
      }
      return (evaluation, try adversarial.merged(into: data))
    }
    let (expected, images) = try run(data, 64)
    #expect((8...56).contains(expected.robustCorrect), "\(expected.attacks.map(\.robust))")
    #expect(Set(expected.records.map(\.attack)).count >= 3, "\(expected.attacks.map(\.robust))")
    func check(_ found: (evaluation: Evaluation, images: Tensor), _ order: [Int], _ what: String) {
      for (a, b) in zip(expected.attacks, found.evaluation.attacks) {
        #expect(order.map { a.flags[$0] } == b.flags, "\(what), after \(a.name)")
      }
      // Convolutions of other batch sizes round otherwise, and a sign or a comparison can carry that to a whole step.
      let same = (found.images - images.selecting(Tensor(order))).abs().flattened(from: 1).max(dims: [1]).less(than: 1e-4)
      #expect(same.to(.int64).sum().item() >= 60, "\(what): the images are the same but for rounding, nearly all")
    }
    let whole = Array(0..<data.count)
    for size in [1, 500] { check(try run(data, size), whole, "batches of \(size)") }
    var generator = Generator(seed: 4)
    let order = whole.shuffled(using: &generator)
    let (originals, labels) = try data.batch(at: Tensor(order))
    check(try run(ImageDataset(name: "shuffled", split: "test", images: originals, labels: labels), 20), order, "shuffled")
    // A part of the data, as one of several machines would do it.
    let part = try run(data.subset(40..<64), 24)
    #expect(part.0.robust == Array(expected.robust[40...]))
    // The same batches give the same bits.
    expectIdentical(try run(data, 64).1, images)
  }
}
