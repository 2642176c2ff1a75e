import Foundation
import SwiftTorch
import Testing

@testable import SAT

@Suite struct LandscapeTests {
  private func weights(_ network: NetworkClassifier) -> [Tensor] { network.module.parameters.map { $0.value.detached() } }

  @Test func filtersAreAsLongAsThoseOfTheWeights() {
    let weights = weights(SmallNetworks.make("residual"))
    let direction = LandscapeDirection.random(for: weights, generator: Generator(seed: 1))
    for (part, weight) in zip(direction.parts, weights) {
      #expect(part.shape == weight.shape)
      if weight.ndim == 1 {
        #expect(part.abs().max().item() == 0, "biases and norms do not move")
        continue
      }
      for filter in 0..<weight.size(0) {
        let (length, expected) = (part[filter].norm().item(), weight[filter].norm().item())
        #expect(abs(length - expected) <= 1e-9 * expected)
      }
    }
    let scaled = LandscapeDirection.random(for: weights, vectors: .scaled, generator: Generator(seed: 1))
    for (index, weight) in weights.enumerated() {
      #expect(
        abs(scaled.parts[index].norm().item() - (weight.ndim == 1 ? weight.norm().item() : direction.parts[index].norm().item()))
          <= 1e-8)
      if weight.ndim > 1 { #expect(scaled.parts[index].isEqual(to: direction.parts[index])) }
    }
  }

  @Test func theSecondDirectionIsOrthogonal() {
    let weights = weights(SmallNetworks.make("tanh"))
    let generator = Generator(seed: 2)
    let first = LandscapeDirection.random(for: weights, generator: generator)
    let second = LandscapeDirection.random(for: weights, orthogonalTo: [first], generator: generator)
    let product = zip(first.parts, second.parts).reduce(0) { $0 + ($1.0 * $1.1).sum().item() }
    let size = first.parts.reduce(0) { $0 + $1.square().sum().item() }
    #expect(size > 1)
    #expect(abs(product) <= 1e-12 * size)
    #expect(second.parts.reduce(0) { $0 + $1.square().sum().item() } > 0.99 * size)
  }

  /// The second difference of the cross-entropy at the centre along a direction d is dᵀHd.
  @Test func theCurvatureAtTheCentreIsTheHessians() throws {
    let network = SmallNetworks.make("tanh")
    let (images, labels) = SmallNetworks.data(8)
    let direction = LandscapeDirection.random(for: weights(network), generator: Generator(seed: 3))
    let step = 1e-3
    let landscape = LossLandscape(
      network, directions: [direction], axes: [.init(start: -step, end: step, points: 3)], examples: .fixed(images), labels: labels)
    var losses = [0.0, 0, 0]
    try landscape.evaluate([0, 1, 2]) { losses[$0] = $1.loss }
    let hessian = try LossHessian(network, images: images, labels: labels)
    #expect(abs(losses[1] - hessian.loss) <= 1e-14)
    let d = hessian.layout.joined(direction.parts)
    let expected = d.dot(try hessian.product(d)).item()
    #expect(abs((losses[0] - 2 * losses[1] + losses[2]) / (step * step) - expected) <= 1e-4 * abs(expected) + 1e-7)
    #expect(abs((losses[2] - losses[0]) / (2 * step) - d.dot(hessian.gradient).item()) <= 1e-5)
  }

  @Test(arguments: [1, 3])
  func everyPointIsWhereItShouldBe(workers: Int) throws {
    let network = try NetworkClassifier.golden("lenet5")
    let (images, labels) = (GoldenNumbers.images([6, 1, 28, 28]), Tensor([0, 1, 2, 3, 4, 5]))
    let before = network.module.stateDict.map { $0.tensor.cloned() }
    let generator = Generator(seed: 4)
    let weights = weights(network)
    let first = LandscapeDirection.random(for: weights, generator: generator)
    let second = LandscapeDirection.random(for: weights, orthogonalTo: [first], generator: generator)
    let landscape = LossLandscape(
      network, directions: [first, second], axes: [.init(start: -1, end: 1, points: 3), .init(start: 0, end: 0.5, points: 2)],
      examples: .fixed(images), labels: labels, batchSize: 4)
    var found: [Int: LossLandscape.Value] = [:]
    try landscape.evaluate(Array(0..<6), workers: workers) { found[$0] = $1 }
    #expect(found.count == 6)
    for (now, then) in zip(network.module.stateDict, before) { #expect(now.tensor.isEqual(to: then), "\(now.name) is as before") }
    for point in 0..<6 {
      let (a, b) = ([-1.0, 0, 1][point % 3], [0, 0.5][point / 3])
      #expect(landscape.position(of: point) == [a, b])
      let copy = try network.copy()
      withNoGrad {
        for (index, parameter) in copy.module.parameters.enumerated() {
          parameter.value.addInPlace(first.parts[index], alpha: a).addInPlace(second.parts[index], alpha: b)
        }
      }
      let logits = withNoGrad { copy.module(images) }
      let value = try #require(found[point])
      #expect(abs(value.loss - logits.crossEntropy(labels).item()) <= 1e-4 * max(value.loss, 1))
      #expect(value.accuracy == logits.argmax(dim: 1).equal(to: labels).sum().item() / 6)
    }
  }

  @Test func aFailureEndsAllWorkers() throws {
    struct Full: Error {}
    let network = try NetworkClassifier.golden("lenet5")
    let landscape = LossLandscape(
      network, directions: [.random(for: weights(network), generator: Generator(seed: 0))], axes: [.init(points: 9)],
      examples: .fixed(GoldenNumbers.images([2, 1, 28, 28])), labels: Tensor([0, 1]))
    let threads = Torch.threadCount
    #expect(throws: Full.self) { try landscape.evaluate(Array(0..<9), workers: 2) { _, _ in throw Full() } }
    #expect(Torch.threadCount == threads)
  }

  /// With a new attack at every point, the loss is at least that of the centre's examples, up to PGD's own failures.
  @Test func attackedAnewTheLossIsHigher() throws {
    let network = try NetworkClassifier.golden("lenet5")
    let (images, labels) = (GoldenNumbers.images([6, 1, 28, 28]), Tensor([0, 1, 2, 3, 4, 5]))
    let maximizer = InnerMaximizer(threat: try ThreatModel(epsilon: 0.1), steps: 5, stepSize: 0.04)
    let direction = LandscapeDirection.random(for: weights(network), generator: Generator(seed: 5))
    let fixed = try maximizer.adversarialImages(network, images, labels, generator: Generator(seed: 7))
    func losses(_ examples: LossLandscape.Examples, workers: Int) throws -> [Double] {
      let landscape = LossLandscape(network, directions: [direction], axes: [.init(points: 3)], examples: examples, labels: labels)
      var found = [0.0, 0, 0]
      try landscape.evaluate([0, 1, 2], workers: workers) { found[$0] = $1.loss }
      return found
    }
    let (held, anew) = (try losses(.fixed(fixed), workers: 1), try losses(.reattacked(images, maximizer, seed: 7), workers: 1))
    #expect(abs(held[1] - anew[1]) <= 1e-4 * held[1], "at the centre they are the same")
    #expect(anew[0] > held[0] && anew[2] > held[2])
    let parallel = try losses(.reattacked(images, maximizer, seed: 7), workers: 2)
    for (a, b) in zip(anew, parallel) { #expect(abs(a - b) <= 1e-3 * a) }
  }

  @Test func theStoreGoesOnAndRefusesOthers() throws {
    let scratch = try Scratch()
    let path = scratch.file("state")
    var store: LandscapeStore? = try LandscapeStore(path, identity: ["seed": "1"])
    try store?.put(.init(loss: 0.1 + 0.2, accuracy: 1 / 3), at: 7)
    try store?.write()
    let shared = #expect(throws: SATError.self) { _ = try LandscapeStore(path, identity: ["seed": "1"]) }
    #expect(shared?.message.contains("another process is keeping its state in \(path)") == true)
    store = nil
    #expect(try LandscapeStore(path, identity: ["seed": "1"]).values == [7: .init(loss: 0.1 + 0.2, accuracy: 1 / 3)])
    let error = #expect(throws: SATError.self) { try LandscapeStore(path, identity: ["seed": "2"]) }
    #expect(error?.message.contains("the state of a landscape with another seed (1, not 2)") == true, "\(error?.message ?? "")")
    // Earlier versions saved the state as JSON.
    let file = scratch.file("old.state")
    try AtomicFile.write(#"{"format":"sat-landscape-state/1","identity":{"seed":"1"},"points":[],"values":[]}"#, to: file)
    let old = #expect(throws: SATError.self) { try LandscapeStore(file, identity: ["seed": "1"]) }
    #expect(old?.message.contains("is not the state of a landscape of this version") == true, "\(old?.message ?? "")")
  }
}
