import SwiftTorch
import Testing

@Suite struct InitializationTests {
  @Test(arguments: try Draws.load().cases.filter(\.isInitializer))
  func initializersGivePyTorchsWeights(_ draw: Draw) throws {
    let drawn = try draw.make(Generator(seed: try Draws.load().seed))
    Draws.compare(drawn, try Fixtures.tensors("draws")[try #require(draw.name)], draw)
  }

  @Test func layersStartFromPyTorchsDefaults() throws {
    let draws = try Draws.load()
    let golden = try Fixtures.tensors("draws")
    #expect(draws.layers.count >= 3)
    for entry in draws.layers {
      let options = entry.options
      let generator = Generator(seed: draws.seed)
      let layer: Module =
        switch entry.layer {
        case "Linear": Linear(try options.int("in_features"), try options.int("out_features"), generator: generator)
        default:
          Conv2d(
            try options.int("in_channels"), try options.int("out_channels"), kernel: try options.int("kernel_size"),
            groups: try options.int("groups", default: 1), bias: options.flag("bias", default: true), generator: generator)
        }
      for (name, parameter) in layer.namedParameters {
        expectIdentical(
          parameter.value.detached().flattened()[..<Draw.kept], try golden["\(entry.name)/\(name)"], "\(entry.name) \(name)")
      }
    }
  }

  @Test func gainsAreCalculateGains() {
    #expect(Initialization.Nonlinearity.linear.gain == 1)
    #expect(Initialization.Nonlinearity.sigmoid.gain == 1)
    #expect(Initialization.Nonlinearity.tanh.gain == 5.0 / 3)
    #expect(Initialization.Nonlinearity.relu.gain == 2.0.squareRoot())
    #expect(abs(Initialization.Nonlinearity.leakyRelu(negativeSlope: 0.2).gain - (2 / 1.04).squareRoot()) < 1e-15)
  }

  @Test func parametersAreWrittenWithoutAGraph() {
    let parameter = Parameter(.zeros(3, 2))
    let written = Initialization.constant(parameter.value, 2.5)
    #expect(written.isSame(as: parameter.value))
    #expect(parameter.value.isLeaf && parameter.value.requiresGrad)
    #expect(parameter.value.detached().array(of: Float.self) == [Float](repeating: 2.5, count: 6))
  }
}
