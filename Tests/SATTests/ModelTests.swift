import SwiftTorch
import Testing

@testable import SAT

/// Tests that compare the networks with PyTorch's numbers for the same weights and images.
@Suite struct ModelTests {
  struct Golden: Decodable {
    struct Optimizer: Decodable {
      var lr: Double
      var momentum: Double
      var weightDecay: Double

      enum CodingKeys: String, CodingKey {
        case lr, momentum
        case weightDecay = "weight_decay"
      }
    }
    struct Case: GoldenCase {
      var name: String
      var model: String
      var options: [String: Int]
      var shape: [Int]
      var k: Int
      var gain: Double
      var labels: [Int]
      var parameters: Int
      var keys: Int
      var loss: Double
      var stepMode: String?
      var stepLosses: [Double]?
      var mean: [Double]?
      var std: [Double]?

      func network() throws -> any Layer {
        let architecture = Architecture(name: model, options: options.mapValues(String.init))
        let network = try architecture.make(generator: Generator(seed: 0))
        GoldenNumbers.fill(network, gain: gain)
        return network
      }

      func normalization() throws -> Normalization? {
        guard let mean, let std else { return nil }
        func text(_ values: [Double]) -> String { values.map { "\($0)" }.joined(separator: ",") }
        return try Normalization("\(text(mean)) \(text(std))")
      }
    }
    var sgd: Optimizer
    var cases: [Case]
  }

  static let golden = Result { try Fixtures.description("networks", as: Golden.self) }
  static var cases: [Golden.Case] { (try? golden.get().cases) ?? [] }

  @Test func thereAreCases() throws {
    let named = Set(try Self.golden.get().cases.map(\.model))
    #expect(named == Set(NetworkCatalog.entries.map(\.name)), "every network is compared with PyTorch")
  }

  @Test(arguments: cases, [MemoryFormat.contiguous, .channelsLast])
  func logitsAndInputGradients(golden: Golden.Case, format: MemoryFormat) throws {
    let tensors = try Fixtures.tensors("networks")
    let network = try golden.network()
    #expect(network.parameterCount == golden.parameters)
    #expect(network.stateDict.count == golden.keys)
    network.setMemoryFormat(format)
    network.setTraining(false)
    let normalization = try golden.normalization()
    let images = GoldenNumbers.images(golden.shape, stream: golden.k).contiguous(format).requireGrad()
    let logits = network(normalization.map { $0(images) } ?? images)
    expectClose(logits, try tensors["\(golden.name)/logits"], absolute: 1e-5, relative: 0, "logits")
    let loss = logits.crossEntropy(Tensor(golden.labels), reduction: .sum)
    let gradient = Tensor.gradient(of: loss, withRespectTo: images)
    let expected = try tensors["\(golden.name)/gradient"]
    expectClose(
      expected.shape == gradient.shape ? gradient : GoldenNumbers.subset(gradient), expected, absolute: 1e-5, relative: 1e-5,
      "gradient")
    #expect(abs(logits.crossEntropy(Tensor(golden.labels)).item() - golden.loss) < 1e-5)

    // The prepared network sums in another order. For these images no ReLU input is so near 0 that this switches it.
    let fixed = images.detached().requireGrad()
    let same = network.preparedIfPossible(inputShape: Array(golden.shape.dropFirst()))(normalization.map { $0(fixed) } ?? fixed)
    expectClose(same, logits, absolute: 1e-4 * logits.abs().max().item(), relative: 0, "prepared logits")
    let slope = Tensor.gradient(of: same.crossEntropy(Tensor(golden.labels), reduction: .sum), withRespectTo: fixed)
    expectClose(slope, gradient, absolute: 1e-4 * gradient.abs().max().item(), relative: 0, "prepared gradient")
  }

  @Test(arguments: cases.filter { $0.stepLosses != nil })
  func twoStepsOfSGD(golden: Golden.Case) throws {
    let tensors = try Fixtures.tensors("networks")
    let settings = try Self.golden.get().sgd
    let network = try golden.network()
    network.setTraining(golden.stepMode == "train")
    let normalization = try golden.normalization()
    let optimizer = SGD(
      network.parameters, learningRate: settings.lr, momentum: settings.momentum, weightDecay: settings.weightDecay)
    let images = GoldenNumbers.images(golden.shape, stream: golden.k)
    for (i, expected) in golden.stepLosses!.enumerated() {
      optimizer.clearGradients()
      let loss = network(normalization.map { $0(images) } ?? images).crossEntropy(Tensor(golden.labels))
      #expect(abs(loss.item() - expected) <= 1e-5 * max(1, expected))
      loss.backward()
      optimizer.step()
      try GoldenNumbers.expectState(network, tensors, "\(golden.name)/step\(i + 1)", absolute: 1e-5)
    }
  }

  /// Parameter counts from the papers' tables and from torchvision, which are independent of this code and of `models/`.
  @Test(
    arguments: [
      ("mnist-cnn", [:], 729_418), ("prn20", [:], 11_171_146), ("prn20", ["classes": "100"], 11_217_316),
      ("prn20", ["finalBN": "1"], 11_172_170), ("prn20", ["finalBN": "1", "classes": "100"], 11_218_340),
      ("prn20", ["rawShortcut": "1"], 11_171_146), ("wrn34-10", [:], 46_160_474), ("wrn34-10", ["classes": "100"], 46_218_164),
      ("wrn34-10", ["depth": "28"], 36_479_194), ("resnet34", [:], 21_289_802), ("resnet34", ["classes": "1000"], 21_797_672),
    ] as [(String, [String: String], Int)])
  func parameterCountsAreThePublished(name: String, options: [String: String], count: Int) throws {
    let network = try Initialization.skipping { () throws(SATError) in
      try Architecture(name: name, options: options).make(generator: Generator(seed: 0))
    }
    #expect(network.parameterCount == count)
  }

  @Test func theKeysArePyTorchs() throws {
    func keys(_ name: String, _ options: [String: String] = [:]) throws -> [String] {
      try Initialization.skipping { () throws(SATError) in
        try Architecture(name: name, options: options).make(generator: Generator(seed: 0))
      }.stateDict.map(\.name)
    }
    func norm(_ name: String) -> [String] {
      ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"].map { "\(name).\($0)" }
    }
    func block(_ prefix: String, shortcut: String?) -> [String] {
      norm("\(prefix).bn1") + ["\(prefix).conv1.weight"] + norm("\(prefix).bn2") + ["\(prefix).conv2.weight"]
        + (shortcut.map { ["\(prefix).\($0).weight"] } ?? [])
    }
    let body = (1...4).flatMap { stage in
      (0...1).flatMap { block("layer\(stage).\($0)", shortcut: stage > 1 && $0 == 0 ? "shortcut.0" : nil) }
    }
    let head = ["linear.weight", "linear.bias"]
    #expect(try keys("prn20") == ["conv1.weight"] + body + head)
    #expect(try keys("prn20", ["finalBN": "1"]) == ["conv1.weight"] + body + norm("bn") + head)
    let wide = (1...3).flatMap { stage in
      (0...4).flatMap { block("block\(stage).layer.\($0)", shortcut: $0 == 0 ? "convShortcut" : nil) }
    }
    #expect(try keys("wrn34-10") == ["conv1.weight"] + wide + norm("bn1") + ["fc.weight", "fc.bias"])
    let imagenet = try keys("resnet34")
    #expect(imagenet.count == 218 && imagenet.contains("layer4.0.downsample.1.running_var") && imagenet.last == "fc.bias")
  }

  @Test func aSeedGivesTheSameNetwork() throws {
    for entry in NetworkCatalog.entries {
      // A small wide network saves the time to draw its weights.
      let options = entry.name == "wrn34-10" ? ["depth": "10", "width": "1"] : [:]
      let networks = try [0, 0, 1].map { try Architecture(name: entry.name, options: options).make(generator: Generator(seed: $0)) }
      func same(_ a: any Layer, _ b: any Layer) -> Bool {
        zip(a.stateDict, b.stateDict).allSatisfy { $0.tensor.isEqual(to: $1.tensor) }
      }
      #expect(same(networks[0], networks[1]))
      #expect(!same(networks[0], networks[2]))
    }
  }

  @Test(arguments: [
    (Architecture(name: "vgg"), "vgg"), (Architecture(name: "lenet5", options: ["width": "3"]), "width"),
    (Architecture(name: "lenet5", options: ["classes": "one"]), "one"),
    (Architecture(name: "lenet5", options: ["classes": "1"]), "classes"),
    (Architecture(name: "cnn-a", options: ["channels": "2"]), "1 or 3"),
    (Architecture(name: "wrn34-10", options: ["depth": "30"]), "10, 16, 22, … or 106"),
    (Architecture(name: "prn20", options: ["finalBN": "yes"]), "0 or 1"),
  ])
  func wrongArchitecturesAreNamed(architecture: Architecture, word: String) {
    let error = #expect(throws: SATError.self) { try architecture.make(generator: Generator(seed: 0)) }
    #expect(error?.message.contains(word) == true)
  }

  @Test(arguments: ["vgg", "0.5", "0.5,0.5 0.5", "0.5 0", "0.5 -1", "a b", "0.5,x 1,1", ""])
  func wrongNormalisationsAreNamed(text: String) {
    #expect(throws: SATError.self) { try Normalization(text) }
  }

  @Test func normalisationsAreKeptExactly() throws {
    for text in ["cifar10", "imagenet", "0.1307 0.3081", "0.4914,0.4822,0.4465 0.2471,0.2435,0.2616"] {
      let normalization = try Normalization(text)
      #expect(try Normalization(normalization.description) == normalization)
    }
  }
}
