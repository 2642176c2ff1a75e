import SwiftTorch
import Testing

/// One entry of layers.json: a layer or a pointwise function.
private struct LayerCase: Decodable, Sendable, CustomTestStringConvertible {
  let name: String
  let layer: String?
  let function: String?
  let shape: [Int]
  let options: [String: Option]
  let parameters: [String]

  var testDescription: String { name }

  static func load() throws -> [LayerCase] {
    struct File: Decodable { let cases: [LayerCase] }
    return try Fixtures.description("layers", as: File.self).cases
  }

  /// Options of PyTorch's that the layers of this library leave to `torch.nn.functional`'s counterparts or do not have.
  static let beyondTheLayers: Set = ["conv2d-rectangular", "batch-norm-no-affine", "adaptive-avg-pool-3x2"]

  func makeLayer() throws -> any Layer {
    let generator = Generator(seed: 0)
    let bias = options.flag("bias", default: true)
    func windowed<L>(_ make: (Int, Int?, Int) -> L) throws -> L {
      try make(
        options.int("kernel_size"), options["stride"] == nil ? nil : options.int("stride"), options.int("padding", default: 0))
    }
    switch try #require(layer) {
    case "Linear":
      return Linear(try options.int("in_features"), try options.int("out_features"), bias: bias, generator: generator)
    case "Conv2d":
      return Conv2d(
        try options.int("in_channels"), try options.int("out_channels"), kernel: try options.int("kernel_size"),
        stride: try options.int("stride", default: 1), padding: try options.int("padding", default: 0),
        dilation: try options.int("dilation", default: 1), groups: try options.int("groups", default: 1), bias: bias,
        generator: generator)
    case "BatchNorm2d":
      return BatchNorm2d(
        try options.int("num_features"), epsilon: try options.double("eps", default: 1e-5),
        momentum: try options.double("momentum", default: 0.1))
    case "MaxPool2d": return try windowed { MaxPool2d($0, stride: $1, padding: $2) }
    case "AvgPool2d": return try windowed { AvgPool2d($0, stride: $1, padding: $2) }
    case "AdaptiveAvgPool2d": return AdaptiveAvgPool2d(try options.int("output_size"))
    case "Flatten": return Flatten()
    case let other: throw TorchError(.notImplemented, "layers.json has the layer \(other), which this test does not know")
    }
  }

  func applyFunction(_ x: Tensor) throws -> Tensor {
    switch try #require(function) {
    case "relu": return x.relu()
    case "leaky_relu": return x.leakyRelu(negativeSlope: try options.double("negative_slope"))
    case "elu": return x.elu(alpha: try options.double("alpha"))
    case "gelu": return x.gelu()
    case "silu": return x.silu()
    case "softplus": return x.softplus()
    case "sigmoid": return x.sigmoid()
    case "tanh": return x.tanh()
    case "softmax": return x.softmax(dim: try options.int("dim"))
    case "log_softmax": return x.logSoftmax(dim: try options.int("dim"))
    case "dropout":
      return x.dropout(try options.double("p"), generator: Generator(seed: UInt64(try options.int("seed"))))
    case let other: throw TorchError(.notImplemented, "layers.json has the function \(other), which this test does not know")
    }
  }
}

@Suite struct LayerTests {
  @Test(arguments: try LayerCase.load().filter { $0.layer != nil && !LayerCase.beyondTheLayers.contains($0.name) })
  fileprivate func layersAgreeWithPyTorch(_ expected: LayerCase) throws {
    let golden = try Fixtures.tensors("layers")
    let name = expected.name
    let layer = try expected.makeLayer()
    layer.setTraining(expected.options.flag("training", default: true))
    #expect(layer.namedParameters.map(\.name) == expected.parameters)
    let state = try layer.stateDict.map { key, _ in
      (key, try golden[expected.parameters.contains(key) ? "\(name)/\(key)" : "\(name)/before.\(key)"])
    }
    try layer.loadStateDict(state)

    let x = try golden["\(name)/x"].requireGrad()
    let y = layer(x)
    expectClose(y, try golden["\(name)/y"], name)
    let inputs = [x] + layer.parameters.map(\.value)
    let gradients = Tensor.gradient(of: y, withRespectTo: inputs, seed: try golden["\(name)/gradY"])
    for (key, gradient) in zip(["x"] + expected.parameters, gradients) {
      expectClose(gradient, try golden["\(name)/grad.\(key)"], absolute: 2e-6, "gradient of \(key)")
    }
    for (key, buffer) in layer.namedBuffers where layer.isTraining {
      expectClose(buffer.value, try golden["\(name)/after.\(key)"], key)
    }
  }

  @Test(arguments: try LayerCase.load().filter { $0.function != nil })
  fileprivate func functionsAgreeWithPyTorch(_ expected: LayerCase) throws {
    let golden = try Fixtures.tensors("layers")
    let name = expected.name
    let x = try golden["\(name)/x"].requireGrad()
    let y = try expected.applyFunction(x)
    expectClose(y, try golden["\(name)/y"], name)
    let gradient = Tensor.gradient(of: y, withRespectTo: x, seed: try golden["\(name)/gradY"])
    expectClose(gradient, try golden["\(name)/grad.x"], "gradient")
  }

  @Test func rectangularConvolutionAgreesWithPyTorch() throws {
    let golden = try Fixtures.tensors("layers")
    let name = "conv2d-rectangular"
    let expected = try #require(try LayerCase.load().first { $0.name == name })
    func pair(_ key: String) throws -> [Int] { try #require(expected.options.list(key)).map { Int($0) } }
    let (x, weight, bias) = (
      try golden["\(name)/x"].requireGrad(), try golden["\(name)/weight"].requireGrad(),
      try golden["\(name)/bias"].requireGrad()
    )
    let y = x.conv2d(weight: weight, bias: bias, stride: try pair("stride"), padding: try pair("padding"))
    expectClose(y, try golden["\(name)/y"])
    let gradients = Tensor.gradient(of: y, withRespectTo: [x, weight, bias], seed: try golden["\(name)/gradY"])
    for (key, gradient) in zip(["x", "weight", "bias"], gradients) {
      expectClose(gradient, try golden["\(name)/grad.\(key)"], absolute: 2e-6, key)
    }
  }

  @Test func dropoutActsInTrainingOnly() {
    let layer = Dropout(0.25, generator: Generator(seed: 1))
    let x = Tensor.ones(10_000)
    let dropped = layer(x)
    // 7500 kept, with a standard deviation of 43, each scaled by 4/3.
    #expect(abs(dropped.greater(than: 0).sum().item() - 7500) < 220)
    expectClose(dropped.max(), Tensor(4 / 3 as Float))
    #expect(!layer(x).isEqual(to: dropped), "every call draws a new mask")
    #expect(layer.withMode(.evaluation) { layer(x) }.isSame(as: x))
  }

  @Test func sequentialAppliesItsLayersInOrder() {
    let model = Sequential(Activation { $0 + 1 }, ReLU(), Activation { 2 * $0 }, Flatten())
    #expect(model(Tensor([-3, 1] as [Float], shape: [1, 1, 2])).array(of: Float.self) == [0, 4])
  }

  @Test func channelsLastGivesTheSameNumbers() {
    let generator = Generator(seed: 3)
    let model = Sequential(
      Conv2d(3, 8, kernel: 3, padding: 1, generator: generator), BatchNorm2d(8), ReLU(), MaxPool2d(2),
      Conv2d(8, 4, kernel: 3, generator: generator), AdaptiveAvgPool2d(1), Flatten())
    let x = Tensor.randn([2, 3, 12, 12], generator: generator)
    let expected = model.withMode(.evaluation) { model(x) }
    model.setMemoryFormat(.channelsLast)
    let actual = model.withMode(.evaluation) { model(x.contiguous(.channelsLast)) }
    expectClose(actual.detached(), expected.detached(), absolute: 1e-5)
  }
}
