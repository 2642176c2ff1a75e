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
      path: path, architecture: architecture, normalization: normalization,
      execution: Execution(device: "cpu", memoryFormat: .contiguous))
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
    #expect(
      try load(half, Architecture(name: "resnet20")).notes == [
        "1 tensor is left out because the network does not use it: mean"
      ])
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
    #expect(names.architectures.map(\.options) == [["finalBN": "1"], ["finalBN": "1", "rawShortcut": "1"]])
  }

  /// The search for a network draws no weights, because 46 million draws would take a second.
  @Test func guessingIsQuick() throws {
    let shapes = try Initialization.skipping { () throws(SATError) in
      try Architecture(name: "wrn34-10").make(generator: Generator(seed: 0))
    }.stateDict.map { ($0.name, $0.tensor.shape) }
    let clock = ContinuousClock()
    var found: [Architecture] = []
    let seconds = clock.measure { found = NetworkCatalog.matching(shapes).architectures } / .seconds(1)
    #expect(found == [Architecture(name: "wrn34-10")])
    #expect(seconds < 1, "\(seconds) s")
    // The search skips draws only for itself: later networks get drawn weights.
    let drawn = try Architecture(name: "lenet5").make(generator: Generator(seed: 1))
    #expect(drawn.parameters.allSatisfy { $0.value.abs().max().item() > 0 })
  }

  // MARK: Names

  /// Fails unless the file gives resnet20 the weights `own`.
  private func expectLoads(
    _ file: NamedTensors, _ own: NamedTensors, notes: [String] = [], _ sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let model = try load(file, Architecture(name: "resnet20"))
    let network = try #require(model.classifier as? NetworkClassifier)
    for (a, b) in zip(network.module.stateDict, own) {
      #expect(a.tensor.isEqual(to: b.tensor), "\(a.name)", sourceLocation: sourceLocation)
    }
    #expect(model.notes == notes, sourceLocation: sourceLocation)
  }

  @Test func prefixesAreCutAtAnyDepth() throws {
    let own = try Self.state("resnet20")
    for prefix in ["module.", "model.", "module.model.", "_orig_mod.module.", "net._orig_mod.", "ema.module.", "a.b.c."] {
      try expectLoads(own.map { (prefix + $0.name, $0.tensor) }, own)
    }
    // Only some keys have the prefix, or the wrapper is inside.
    try expectLoads(own.enumerated().map { (($0 % 3 == 0 ? "module." : "") + $1.name, $1.tensor) }, own)
    try expectLoads(own.enumerated().map { (($0 % 3 == 0 ? "model." : "") + $1.name, $1.tensor) }, own)
    try expectLoads(own.map { ($0.name.replacing("conv1.", with: "conv1.module."), $0.tensor) }, own)
  }

  /// MadryLab's package holds the network twice, and its normalisation as `new_mean` and `new_std`.
  @Test func filesOfThePackageRobustnessAreTaken() throws {
    let own = try Self.state("resnet20")
    let values = Self.statistics([3, 1, 1])
    var file: NamedTensors = []
    for part in ["module.normalizer", "module.attacker.normalize"] {
      file += [("\(part).new_mean", values.mean), ("\(part).new_std", values.std)]
    }
    for part in ["module.model.", "module.attacker.model."] { file += own.map { (part + $0.name, $0.tensor) } }
    let model = try load(file, Architecture(name: "resnet20"))
    #expect((model.classifier as? NetworkClassifier)?.normalization == (try Normalization(mean: Self.mean, std: Self.std)))
    #expect(model.notes.contains { $0.contains("several sets of weights ('model', 'attacker.model'), and sat uses 'model'") })
  }

  @Test func oneNumberMayHaveEitherShape() throws {
    let own = try Self.state("resnet20")
    try expectLoads(own.map { ($0.name, $0.name.hasSuffix("tracked") ? $0.tensor.reshaped(to: 1) : $0.tensor) }, own)
    let wrong = own.map { ($0.name, $0.name == "bn1.weight" ? $0.tensor.reshaped(to: 16, 1) : $0.tensor) }
    let error = #expect(throws: TorchError.self) { try load(wrong, Architecture(name: "resnet20")) }
    #expect(error?.message.contains("wrong shapes: bn1.weight is [16, 1], expected [16]") == true)
  }

  @Test func unusedTensorsAreLeftOutWithOneLine() throws {
    let own = try Self.state("resnet20")
    let file = own + [("criterion.weight", Tensor.ones(10)), ("total_ops", Tensor([1.0])), ("fc.total_ops", Tensor([1.0]))]
    try expectLoads(
      file, own,
      notes: ["3 tensors are left out because the network does not use them: total_ops, fc.total_ops, criterion.weight"])
    let unnamed = #expect(throws: SATError.self) { try load(file, nil) }
    #expect(unnamed?.message.contains("add --model resnet20") == true, "\(unnamed?.message ?? "")")
    // Tensors that another variant of the network uses are no leftovers.
    let variant = try Self.state("prn20", ["finalBN": "1"])
    let refused = #expect(throws: SATError.self) { try load(variant, Architecture(name: "prn20")) }
    #expect(refused?.message.contains("give --model prn20 --model-option finalBN=1") == true, "\(refused?.message ?? "")")
  }

  @Test func aMissingKeyIsAnErrorWithTheNearestNames() throws {
    let own = try Self.state("resnet20")
    let file = own.map { ($0.name == "linear.weight" ? "linear.weights" : $0.name, $0.tensor) }
    let error = #expect(throws: TorchError.self) { try load(file, Architecture(name: "resnet20")) }
    let text = "missing keys: linear.weight (linear.weight may be linear.weights); unexpected keys: linear.weights"
    #expect(error?.message.contains(text) == true, "\(error?.message ?? "")")
    let bytes = [UInt8](repeating: 0, count: 8 * own[0].tensor.count)
    let complex = Tensor(bytes: bytes[...], shape: own[0].tensor.shape, dtype: .complex64)
    let wrong = #expect(throws: TorchError.self) {
      try load([(own[0].name, complex)] + own.dropFirst(), Architecture(name: "resnet20"))
    }
    #expect(
      wrong?.message.contains("\(own[0].name) is of type complex64, expected real numbers") == true, "\(wrong?.message ?? "")")
  }

  // MARK: Weights from several tensors

  @Test func prunedAndParametrisedWeightsArePutTogether() throws {
    let own = try Self.state("resnet20")
    func parts(_ change: (String, Tensor) -> NamedTensors) -> NamedTensors {
      own.flatMap { $0.name.hasSuffix("conv1.weight") ? change($0.name, $0.tensor) : [($0.name, $0.tensor)] }
    }
    func place(_ name: String) -> String { name.replacing("conv1.weight", with: "conv1.parametrizations.weight") }
    let mask = Tensor([1, 0, 1] as [Float]).reshaped(to: 1, 1, 1, 3)
    let pruned = own.map { ($0.name, $0.name.hasSuffix("conv1.weight") ? $0.tensor * mask : $0.tensor) }
    try expectLoads(parts { [("\($0)_orig", $1), ("\($0)_mask", Tensor.ones($1.shape) * mask)] }, pruned)
    // weight_norm has a length for each index of the first dimension, or one for all.
    for (old, isWhole) in [(true, false), (false, false), (true, true)] {
      let file = parts { name, weight in
        let rows = weight.reshaped(to: weight.size(0), -1)
        let length =
          isWhole ? weight.square().sum().sqrt() : rows.square().sum(dim: 1).sqrt().reshaped(to: weight.size(0), 1, 1, 1)
        let names = old ? ["\(name)_g", "\(name)_v"] : ["\(place(name)).original0", "\(place(name)).original1"]
        return [(names[0], length), (names[1], weight * 3)]
      }
      let network = try #require(try load(file, Architecture(name: "resnet20")).classifier as? NetworkClassifier)
      for (a, b) in zip(network.module.stateDict, own) { expectClose(a.tensor, b.tensor, a.name) }
    }
    // spectral_norm divides by the largest singular value: here 2 for a matrix of ones scaled so.
    for old in [true, false] {
      let file = parts { name, weight in
        let (rows, columns) = (weight.size(0), weight.count / weight.size(0))
        let (u, v) = (Tensor.full([rows], 1 / Double(rows).squareRoot()), Tensor.full([columns], 1 / Double(columns).squareRoot()))
        let scale = 2 / Double(rows * columns).squareRoot()
        let names =
          old
          ? ["\(name)_orig", "\(name)_u", "\(name)_v"]
          : ["\(place(name)).original", "\(place(name)).0._u", "\(place(name)).0._v"]
        return [(names[0], Tensor.full(weight.shape, scale)), (names[1], u), (names[2], v)]
      }
      let network = try #require(try load(file, Architecture(name: "resnet20")).classifier as? NetworkClassifier)
      for (name, tensor) in network.module.stateDict where name.hasSuffix("conv1.weight") {
        expectClose(tensor, Tensor.full(tensor.shape, 1 / Double(tensor.count).squareRoot()), name)
      }
    }
  }

  /// `safetensors.torch.save_model` writes a tensor with two names once.
  @Test func namesInTheMetadataAreKnown() throws {
    let own = try Self.state("resnet20")
    let scratch = try Scratch()
    let path = "\(scratch.path)/m"
    let file = own.enumerated().map { (name: ($0 % 2 == 0 ? "attacker.model." : "model.") + $1.name, tensor: $1.tensor) }
    let metadata = Dictionary(
      uniqueKeysWithValues: own.enumerated().map { (($0 % 2 == 1 ? "attacker.model." : "model.") + $1.name, file[$0].name) })
    try SafeTensors(tensors: file, metadata: metadata).write(to: path)
    let model = try ModelFile.load(
      path: path, architecture: Architecture(name: "resnet20"), execution: Execution(device: "cpu", memoryFormat: .contiguous))
    #expect(model.notes.isEmpty)
    let network = try #require(model.classifier as? NetworkClassifier)
    for (a, b) in zip(network.module.stateDict, own) { expectIdentical(a.tensor, b.tensor, a.name) }
  }
}
