import SwiftTorch
import Testing

/// The optimizers' part of training.json.
private struct Training: Decodable, Sendable {
  struct Run: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let optimizer: String
    let options: [String: Option]
    let points: [[Float]]

    var testDescription: String { name }

    func make(_ parameters: [Parameter]) throws -> any Optimizer {
      let (rate, decay) = (try options.double("lr"), try options.double("weight_decay", default: 0))
      switch optimizer {
      case "SGD":
        return SGD(
          parameters, learningRate: rate, momentum: try options.double("momentum", default: 0),
          dampening: try options.double("dampening", default: 0), weightDecay: decay,
          nesterov: options.flag("nesterov", default: false))
      case "Adam":
        let betas = options.list("betas") ?? [0.9, 0.999]
        return Adam(
          parameters, learningRate: rate, betas: (betas[0], betas[1]), epsilon: try options.double("eps", default: 1e-8),
          weightDecay: decay)
      default: throw TorchError(.notImplemented, "training.json has the optimizer \(optimizer), which this test does not know")
      }
    }
  }

  let start: [Float]
  let minimum: [Float]
  let curvature: [Float]
  let optimizers: [Run]

  static func load() throws -> Training { try Fixtures.description("training") }

  /// Makes one update on the fixture's quadratic.
  func step(_ point: Parameter, _ optimizer: any Optimizer) {
    optimizer.clearGradients()
    (0.5 * Tensor(curvature) * (point.value - Tensor(minimum)).square()).sum().backward()
    optimizer.step()
  }
}

@Suite struct OptimizerTests {
  @Test(arguments: try Training.load().optimizers) fileprivate func stepsAgreeWithPyTorch(_ run: Training.Run) throws {
    let training = try Training.load()
    let point = Parameter(Tensor(training.start))
    let tensor = point.value
    let optimizer = try run.make([point])
    for expected in run.points {
      training.step(point, optimizer)
      expectClose(point.value.detached(), Tensor(expected), absolute: 1e-6)
    }
    #expect(point.value.isSame(as: tensor) && tensor.isLeaf && tensor.requiresGrad, "steps work in place, outside the graph")
  }

  @Test(arguments: try Training.load().optimizers) fileprivate func aSavedStateContinuesExactly(_ run: Training.Run) throws {
    let training = try Training.load()
    let whole = Parameter(Tensor(training.start))
    let first = try run.make([whole])
    for _ in 0..<2 { training.step(whole, first) }
    let copy = Parameter(whole.value.cloned())
    let saved = first.state.map { ($0.name, $0.tensor.cloned()) }
    let second = try run.make([copy])
    try second.restore(first.state)
    for _ in 0..<3 {
      training.step(whole, first)
      training.step(copy, second)
    }
    expectIdentical(copy.value.detached(), whole.value.detached())
    let third = try run.make([copy])
    try third.restore(saved)
    #expect(zip(third.state, saved).allSatisfy { $0.name == $1.0 && $0.tensor.isEqual(to: $1.1) }, "the state was copied")
    #expect(third.state.count == saved.count)
  }

  @Test func aForeignStateIsRefusedAndChangesNothing() throws {
    let parameter = Parameter(.zeros(2))
    let adam = Adam([parameter])
    parameter.value.grad = .ones(2)
    adam.step()
    let before = adam.state.map { $0.tensor.cloned() }
    for (state, sentence) in [
      ([("first.0", Tensor.zeros(3)), ("second.0", .zeros(2)), ("step.0", Tensor(1))], "first.0 has shape [3]; expected [2]"),
      ([("first.0", .zeros(2))], "lacks a moment of parameter 0"),
      ([("first.0", .zeros(2)), ("second.0", .zeros(2))], "lacks step.0"),
      ([("first.0", .zeros(2)), ("second.0", .zeros(2)), ("step.0", .zeros(2))], "step.0 has shape [2]"),
    ] {
      expectTorchError([sentence]) { try adam.restore(state) }
    }
    #expect(zip(adam.state, before).allSatisfy { $0.tensor.isEqual(to: $1) })
    expectTorchError(["momentum.0 has shape [3]; expected [2]"]) {
      try SGD([parameter], learningRate: 0.1, momentum: 0.9).restore([("momentum.0", .zeros(3))])
    }
  }

  @Test func aParameterWithoutGradientIsLeftAlone() {
    let (moving, still) = (Parameter(.ones(2)), Parameter(.ones(2)))
    let optimizers: [any Optimizer] = [
      SGD([moving, still], learningRate: 0.1, momentum: 0.9, weightDecay: 0.1), Adam([moving, still], weightDecay: 0.1),
    ]
    for optimizer in optimizers {
      optimizer.clearGradients()
      moving.value.sum().backward()
      optimizer.step()
      #expect(moving.value.max().item() < 1)
      #expect(still.value.detached().array(of: Float.self) == [1, 1])
      #expect(!optimizer.state.contains { $0.name.hasSuffix(".1") })
    }
  }

  @Test func clippingScalesToTheJointNorm() throws {
    let (a, b) = (Parameter(.zeros(2)), Parameter(.zeros(1)))
    let optimizer = SGD([a, b, Parameter(.zeros(1))], learningRate: 1)
    a.value.grad = Tensor([3, 0] as [Float])
    b.value.grad = Tensor([4] as [Float])
    #expect(optimizer.gradientNorm() == 5)
    #expect(optimizer.clipGradientNorm(to: 10) == 5)
    #expect(try #require(b.value.grad).item() == 4, "a smaller norm is left alone")
    #expect(optimizer.clipGradientNorm(to: 1) == 5)
    expectClose(try #require(a.value.grad), Tensor([0.6, 0] as [Float]))
    expectClose(try #require(b.value.grad), Tensor([0.8] as [Float]))
    optimizer.clearGradients()
    #expect(optimizer.gradientNorm() == 0)
  }
}
