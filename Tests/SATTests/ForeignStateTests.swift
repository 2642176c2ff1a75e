import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// Tests of weight files from other programs: with prefixes, a normalisation, or unused layers.
@Suite struct ForeignStateTests {
  static func state(_ name: String, _ options: [String: String] = [:]) throws -> NamedTensors {
    let network = try Architecture(name: name, options: options).make(generator: Generator(seed: 1))
    return network.stateDict
  }

  func load(
    _ state: NamedTensors, _ architecture: Architecture?, _ normalization: Normalization? = nil
  ) throws -> LoadedModel {
    let scratch = try Scratch()
    let path = "\(scratch.path)/foreign.safetensors"
    try SafeTensors(tensors: state, metadata: [:]).write(to: path)
    return try ModelFile.load(
      path: path, checkpoint: "best", architecture: architecture, normalization: normalization, device: .cpu)
  }

  static let mean = [0.4914, 0.4822, 0.4465]
  static let std = [0.2023, 0.1994, 0.201]

  static func statistics(_ shape: [Int]) -> (mean: Tensor, std: Tensor) {
    (Tensor(mean, shape: shape).to(.float32), Tensor(std, shape: shape).to(.float32))
  }

  /// Tests knn-defense's frozen parameters, RobustBench's buffers on the network or in a layer before it, and a `Sequential`.
  @Test(arguments: [
    ("mean", "std", [3, 1, 1], ""), ("mu", "sigma", [1, 3, 1, 1], ""), ("module.mu", "module.sigma", [1, 3, 1, 1], "module."),
    ("normalize.mean", "normalize.std", [3], "model."), ("0.mean", "0.std", [1, 3, 1, 1], "1."),
    ("module.0.mu", "module.0.sigma", [3, 1, 1], "module.1."),
    ("classifier.mu", "classifier.sigma", [3, 1, 1], "classifier.backbone."),
  ])
  func aNormalisationInTheFileIsTaken(mean: String, std: String, shape: [Int], prefix: String) throws {
    let own = try Self.state("resnet20")
    let values = Self.statistics(shape)
    let file = [(mean, values.mean), (std, values.std)] + own.map { (prefix + $0.name, $0.tensor) }
    let model = try load(file, Architecture(name: "resnet20"))
    let network = try #require(model.classifier as? NetworkClassifier)
    #expect(network.normalization == (try Normalization(mean: Self.mean, std: Self.std)))
    #expect(model.notes.count == 1 && model.notes[0].contains("0.4914,0.4822,0.4465 0.2023,0.1994,0.201"))
    for (a, b) in zip(network.module.stateDict, own) { expectIdentical(a.tensor, b.tensor, a.name) }
    let given = try load(file, Architecture(name: "resnet20"), Normalization("imagenet"))
    #expect((given.classifier as? NetworkClassifier)?.normalization == (try Normalization("imagenet")))
    #expect(given.notes.first?.contains("replaces the file's own") == true)
    let unnamed = #expect(throws: SATError.self) { try load(file, nil) }
    #expect(unnamed?.message.contains("add --model resnet20") == true, "\(unnamed?.message ?? "")")
  }

  @Test func averagedModelsAreTaken() throws {
    let own = try Self.state("resnet20")
    let file = [("n_averaged", Tensor([3]))] + own.map { ("module." + $0.name, $0.tensor) }
    let network = try #require(try load(file, Architecture(name: "resnet20")).classifier as? NetworkClassifier)
    for (a, b) in zip(network.module.stateDict, own) { expectIdentical(a.tensor, b.tensor, a.name) }
  }

  @Test func aNormalisationThatIsNoneIsSaid() throws {
    let file = [("mean", Tensor.zeros(3, 1, 1)), ("std", Tensor.zeros(3, 1, 1))] + (try Self.state("resnet20"))
    let error = #expect(throws: SATError.self) { try load(file, Architecture(name: "resnet20")) }
    #expect(
      error?.message.contains("standard deviations above 0") == true && error?.message.contains("foreign.safetensors") == true)
    let one = [("mean", Tensor.zeros(1)), ("std", Tensor.ones(1))] + (try Self.state("resnet20"))
    #expect(throws: SATError.self) { try load(one, Architecture(name: "resnet20")) }
    let half = [("mean", Tensor.zeros(3, 1, 1))] + (try Self.state("resnet20"))
    let lone = #expect(throws: TorchError.self) { try load(half, Architecture(name: "resnet20")) }
    #expect(lone?.message.contains("unexpected keys: mean") == true)
  }

  /// TRADES' class registers a copy of its first stage that its forward pass does not use.
  @Test func theDeadStageOfTRADESIsLeftOut() throws {
    let options = ["depth": "10", "width": "2", "classes": "7"]
    let own = try Self.state("wrn34-10", options)
    let dead = own.filter { $0.name.hasPrefix("block1.") }.map { (name: "sub_" + $0.name, tensor: $0.tensor) }
    let file = (own + dead).map { (name: "module.\($0.name)", tensor: $0.tensor) }
    let model = try load(file, Architecture(name: "wrn34-10", options: options))
    #expect(model.notes.count == 1 && model.notes[0].contains("sub_block1"))
    let network = try #require(model.classifier as? NetworkClassifier)
    for (a, b) in zip(network.module.stateDict, own) { expectIdentical(a.tensor, b.tensor, a.name) }
    let unnamed = #expect(throws: SATError.self) { try load(file, nil) }
    let words = "add --model wrn34-10 --model-option classes=7 --model-option depth=10 --model-option width=2"
    #expect(unnamed?.message.contains(words) == true, "\(unnamed?.message ?? "")")
    #expect(throws: TorchError.self) { try load(file, Architecture(name: "resnet20")) }
  }

  @Test func keysThatFitTwoNetworksAreSaidToBe() throws {
    let error = #expect(throws: SATError.self) { try load(Self.state("prn20", ["classes": "100"]), nil) }
    #expect(error?.message.contains("add --model prn20 --model-option classes=100;") == true, "\(error?.message ?? "")")
    #expect(error?.message.contains("rawShortcut=1") == true)
    let names = try NetworkCatalog.matching(Self.state("prn20", ["finalBN": "1"]).map { ($0.name, $0.tensor.shape) })
    #expect(names.map(\.options) == [["finalBN": "1"], ["finalBN": "1", "rawShortcut": "1"]])
  }

  /// The search for a network draws no weights, because 46 million draws would take a second.
  @Test func guessingIsQuick() throws {
    let shapes = try Initialization.skipping { () throws(SATError) in
      try Architecture(name: "wrn34-10").make(generator: Generator(seed: 0))
    }.stateDict.map { ($0.name, $0.tensor.shape) }
    let clock = ContinuousClock()
    var found: [Architecture] = []
    let seconds = clock.measure { found = NetworkCatalog.matching(shapes) } / .seconds(1)
    #expect(found == [Architecture(name: "wrn34-10")])
    #expect(seconds < 1, "\(seconds) s")
    // The search skips draws only for itself: later networks get drawn weights.
    let drawn = try Architecture(name: "lenet5").make(generator: Generator(seed: 1))
    #expect(drawn.parameters.allSatisfy { $0.value.abs().max().item() > 0 })
  }
}
