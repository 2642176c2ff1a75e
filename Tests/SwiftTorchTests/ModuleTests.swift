import SwiftTorch
import Testing

private class Block: Module {
  let conv1: Conv2d
  let bn1 = BatchNorm2d(4)
  let downsample: Sequential?
  let extra: Parameter?
  let scratch = Tensor.zeros(3)

  init(downsample: Bool, generator: Generator) {
    conv1 = Conv2d(4, 4, kernel: 3, bias: false, generator: generator)
    self.downsample = downsample ? Sequential(Conv2d(4, 4, kernel: 1, bias: false, generator: generator), BatchNorm2d(4)) : nil
    extra = downsample ? nil : Parameter(.zeros(2))
  }
}

private final class Network: Module {
  let layer1: [Block]
  let fullyConnected: Linear
  let classShift = Buffer(.zeros(2))
  let scales = [Parameter(.zeros(1)), Parameter(.zeros(1))]

  override class var stateNames: [String: String] { ["fullyConnected": "fc", "classShift": "class_shift"] }

  init(generator: Generator) {
    layer1 = [Block(downsample: true, generator: generator), Block(downsample: false, generator: generator)]
    fullyConnected = Linear(4, 2, generator: generator)
  }
}

private class Base: Module {
  let first = Parameter(.zeros(1))
}

private final class Derived: Base {
  let second = Parameter(.zeros(1))
}

private final class Tied: Module {
  let encoder: Linear
  let decoder: Linear

  override init() {
    encoder = Linear(3, 3, bias: false, generator: Generator(seed: 0))
    decoder = encoder
  }
}

private func network() -> Network { Network(generator: Generator(seed: 1)) }

@Suite struct ModuleTests {
  @Test func namesAndOrderAreThoseOfPyTorch() {
    let batchNorm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    #expect(
      network().stateDict.map(\.name) == ["scales.0", "scales.1", "class_shift"]
        + ["layer1.0.conv1.weight"] + batchNorm.map { "layer1.0.bn1.\($0)" }
        + ["layer1.0.downsample.0.weight"] + batchNorm.map { "layer1.0.downsample.1.\($0)" }
        + ["layer1.1.extra", "layer1.1.conv1.weight"] + batchNorm.map { "layer1.1.bn1.\($0)" }
        + ["fc.weight", "fc.bias"])
    #expect(
      network().namedParameters.map(\.name).filter { $0.hasPrefix("layer1.1") } == [
        "layer1.1.extra", "layer1.1.conv1.weight", "layer1.1.bn1.weight", "layer1.1.bn1.bias",
      ])
    #expect(network().namedBuffers.map(\.name).first == "class_shift")
    #expect(Derived().namedParameters.map(\.name) == ["first", "second"], "superclass first")
    #expect(network().parameterCount == 2 + 2 * (4 * 4 * 9 + 8) + (16 + 8) + 2 + (8 + 2))
  }

  @Test func aSharedParameterIsTrainedOnceAndSavedTwice() {
    let tied = Tied()
    #expect(tied.stateDict.map(\.name) == ["encoder.weight", "decoder.weight"])
    #expect(tied.parameters.count == 1)
    #expect(tied.parameterCount == 9)
  }

  @Test func modesAreScopedAndRestoredPerModule() {
    struct Stop: Error {}
    let network = network()
    network.layer1[0].bn1.setTraining(false)
    let before = network.modules.map(\.isTraining)
    #expect(before.contains(true) && before.contains(false))
    network.withMode(.evaluation) {
      #expect(network.modules.allSatisfy { !$0.isTraining })
      #expect(throws: Stop.self) {
        try network.withMode(.training) {
          #expect(network.modules.allSatisfy { $0.isTraining })
          throw Stop()
        }
      }
      #expect(network.modules.allSatisfy { !$0.isTraining })
    }
    #expect(network.modules.map(\.isTraining) == before)
  }

  @Test func conversionKeepsParametersAndReplacesTheirTensors() {
    let network = network()
    let parameters = network.parameters
    let tensors = parameters.map(\.value)
    network.convert(to: .float64)
    #expect(zip(network.parameters, parameters).allSatisfy { $0 === $1 })
    #expect(parameters.allSatisfy { $0.value.dtype == .float64 && $0.value.requiresGrad && $0.value.isLeaf })
    #expect(network.namedBuffers.filter { $0.name.hasSuffix("tracked") }.allSatisfy { $0.buffer.value.dtype == .int64 })
    #expect(zip(parameters, tensors).allSatisfy { $0.value.to(.float32).isEqual(to: $1) })
    let converted = parameters.map(\.value)
    network.setMemoryFormat(.channelsLast)
    network.move(to: .cpu)
    for (parameter, tensor) in zip(parameters, converted) {
      let changed = tensor.ndim == 4 && !tensor.isContiguous(.channelsLast)
      #expect(parameter.value.isSame(as: tensor) == !changed)
      #expect(parameter.value.ndim != 4 || parameter.value.isContiguous(.channelsLast))
    }
  }

  @Test func gradientsAreClearedEverywhere() {
    let network = network()
    network.fullyConnected(.ones(1, 4)).sum().backward()
    #expect(network.fullyConnected.weight.value.grad != nil)
    network.clearGradients()
    #expect(network.parameters.allSatisfy { $0.value.grad == nil })
  }

  // MARK: State

  @Test func stateIsCopiedIntoTheTensorsThatAreThere() throws {
    let (source, target) = (Network(generator: Generator(seed: 1)), Network(generator: Generator(seed: 2)))
    let tensors = target.parameters.map(\.value)
    #expect(!source.fullyConnected.weight.value.isEqual(to: target.fullyConnected.weight.value))
    try target.loadStateDict(
      source.stateDict.map { ($0.name, $0.tensor.dtype.isFloatingPoint ? $0.tensor.to(.float64) : $0.tensor) })
    #expect(zip(source.stateDict, target.stateDict).allSatisfy { $0.tensor.isEqual(to: $1.tensor) })
    #expect(zip(target.parameters, tensors).allSatisfy { $0.value.isSame(as: $1) })
    #expect(target.parameters.allSatisfy { $0.value.requiresGrad && $0.value.isLeaf })
  }

  @Test func aStateThatDoesNotFitIsListedAndChangesNothing() {
    let layer = Sequential(Linear(3, 2, generator: Generator(seed: 1)), BatchNorm2d(2))
    let before = layer.stateDict.map { ($0.name, $0.tensor.cloned()) }
    var state = before
    state.removeAll { $0.0 == "0.bias" || $0.0 == "1.num_batches_tracked" }
    state[0].1 = .zeros(2, 4)
    state.append(("2.weight", .zeros(1)))
    expectTorchError([
      "weights.pt does not fit Sequential", "missing keys: 0.bias;", "unexpected keys: 2.weight;",
      "wrong shapes: 0.weight is [2, 4], expected [2, 3]",
    ]) { try layer.loadStateDict(state, source: "weights.pt") }
    #expect(zip(layer.stateDict, before).allSatisfy { $0.tensor.isEqual(to: $1.1) })
    let many = (0..<12).map { ("extra\($0)", Tensor(0)) }
    expectTorchError(["extra7, and 4 more"]) { try layer.loadStateDict(before + many) }
  }

  @Test func oldFilesMayLackTheBatchCount() throws {
    let layer = BatchNorm2d(2)
    let state = BatchNorm2d(2).stateDict.filter { $0.name != "num_batches_tracked" }
    #expect(state.count == 4)
    try layer.loadStateDict(state)
  }
}
