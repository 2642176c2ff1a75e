import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// Tests of mistakes in MODEL arguments: each error is one sentence with the file and the remedy.
@Suite struct ModelMistakeTests {
  private func load(
    _ path: String, _ architecture: Architecture? = nil, checkpoint: RunFolder.Checkpoint = .best,
    normalization: Normalization? = nil
  ) throws -> LoadedModel {
    try ModelFile.load(
      path: path, checkpoint: checkpoint, architecture: architecture, normalization: normalization,
      execution: Execution(device: "cpu", memoryFormat: .contiguous))
  }

  /// Fails unless `body` throws one sentence that contains all of `words`.
  private func expectSentence(
    _ words: [String], sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
  ) {
    let error = #expect(throws: (any Error).self, sourceLocation: sourceLocation) { try body() }
    guard let error else { return }
    let message = "\(error)"
    #expect(error is SATError || error is TorchError, "\(type(of: error)): \(message)", sourceLocation: sourceLocation)
    #expect(!message.contains("\n"), "\(message)", sourceLocation: sourceLocation)
    for word in words { #expect(message.contains(word), "'\(word)' is not in: \(message)", sourceLocation: sourceLocation) }
  }

  @Test(arguments: [
    ("lenet", "did you mean lenet5?"), ("LeNet5", "did you mean lenet5?"), ("mnist_cnn", "did you mean mnist-cnn?"),
    ("resnet-18", "did you mean resnet18?"), ("resnet-33", "did you mean resnet34?"), ("cnna", "did you mean cnn-a?"),
  ])
  func aSlipGetsTheNearestName(name: String, hint: String) {
    expectSentence([name, hint, "mnist-cnn, lenet5, cnn-a, small-cnn, resnet20, resnet18, prn20, wrn34-10, resnet34"]) {
      _ = try Architecture(name: name).make(generator: Generator(seed: 0))
    }
  }

  @Test(arguments: ["vit-b", "", "?", String(repeating: "z", count: 5000)])
  func whatIsFarFromEverythingGetsNone(name: String) throws {
    let error = #expect(throws: SATError.self) { try Architecture(name: name).inputShape() }
    #expect(error?.message.contains("did you mean") == false)
  }

  @Test func aModelOptionMayRepeatTheFileButNotContradictIt() throws {
    let scratch = try Scratch()
    let path = scratch.file("m")
    try ModelFile.save(NetworkClassifier("cnn-a", ["classes": "7"], seed: 0), to: path)
    for options in [[:], ["classes": "7"], ["channels": "3"], ["classes": "07", "channels": "3"]] {
      #expect(try load(path, Architecture(name: "cnn-a", options: options)).inputShape == [3, 32, 32])
    }
    expectSentence([path, "holds cnn-a, but --model says lenet5"]) { _ = try load(path, Architecture(name: "lenet5")) }
    expectSentence([path, "classes=7", "classes=10"]) {
      _ = try load(path, Architecture(name: "cnn-a", options: ["classes": "10"]))
    }
    expectSentence([path, "channels=3", "channels=1"]) {
      _ = try load(path, Architecture(name: "cnn-a", options: ["channels": "1"]))
    }
    expectSentence(["no option 'depth'"]) { _ = try load(path, Architecture(name: "cnn-a", options: ["depth": "1"])) }
  }

  @Test func metadataOfAnotherVersionAreNamed() throws {
    let scratch = try Scratch()
    let state = try Architecture(name: "lenet5").make(generator: Generator(seed: 0)).stateDict
    func write(_ metadata: [String: String]) throws -> String {
      let path = scratch.file("m")
      try SafeTensors(tensors: state, metadata: metadata).write(to: path)
      return path
    }
    expectSentence([scratch.path, "its metadata", "'lenet7'", "did you mean lenet5?"]) {
      _ = try load(write(["sat.architecture": "lenet7"]))
    }
    expectSentence([scratch.path, "its metadata", "'width'"]) {
      _ = try load(write(["sat.architecture": "lenet5", "sat.options": #"{"width": "2"}"#]))
    }
    expectSentence([scratch.path, "'sat.options'"]) { _ = try load(write(["sat.architecture": "lenet5", "sat.options": "[1]"])) }
    expectSentence([scratch.path, "its metadata", "normalisation 'x'"]) {
      _ = try load(write(["sat.architecture": "lenet5", "sat.normalization": "x"]))
    }
    expectSentence([scratch.path, "wrong shapes: linear2.weight is [10, 200], expected [12, 200]"]) {
      _ = try load(write(["sat.architecture": "lenet5", "sat.options": #"{"classes": "12"}"#]))
    }
  }

  @Test func foldersAreExplained() throws {
    let scratch = try Scratch()
    expectSentence([scratch.path, "best/weights.safetensors", "finished an epoch"]) { _ = try load(scratch.path) }
    try FileManager.default.createDirectory(atPath: scratch.file("last"), withIntermediateDirectories: true)
    try ModelFile.save(NetworkClassifier("lenet5", seed: 0), to: scratch.file("last/weights.safetensors"))
    expectSentence([scratch.path, "best/weights.safetensors", "--checkpoint last"]) { _ = try load(scratch.path) }
    #expect(try load(scratch.path, checkpoint: .last).inputShape == [1, 28, 28])
    #expect(try load(scratch.file("last")).inputShape == [1, 28, 28], "a checkpoint's own folder")
    expectSentence(["nowhere", "does not exist"]) { _ = try load(scratch.file("nowhere")) }
  }

  /// Tests weights of every network with an unusual number of classes and keys in alphabetical order, as other tools write them.
  @Test(arguments: NetworkCatalog.entries.map(\.name), [10, 37])
  func weightsAreRecognisedByTheirKeys(name: String, classes: Int) throws {
    let scratch = try Scratch()
    let path = scratch.file("m")
    let architecture = Architecture(name: name, options: classes == 10 ? [:] : ["classes": "\(classes)"])
    let state = try Initialization.skipping { () throws(SATError) in
      try architecture.make(generator: Generator(seed: 0))
    }.stateDict.filter { !$0.name.hasSuffix("num_batches_tracked") }
    try SafeTensors(tensors: state.sorted { $0.name < $1.name }).write(to: path)
    let command = "its keys match \(name): add --model \(name)" + (classes == 10 ? "" : " --model-option classes=\(classes)")
    expectSentence([path, command]) { _ = try load(path) }
    let matches = NetworkCatalog.matching(state.map { ($0.name, $0.tensor.shape) }).architectures
    #expect(matches.first == architecture && matches.count == (name == "prn20" ? 2 : 1))
    #expect(try load(path, architecture).classifier is NetworkClassifier)
    // A layer with one value less belongs to another network.
    var other = state.map { ($0.name, $0.tensor.shape) }
    other[0].1[0] -= 1
    #expect(NetworkCatalog.matching(other).architectures.isEmpty)
  }

  @Test func oneChannelCNNAIsRecognised() throws {
    let architecture = Architecture(name: "cnn-a", options: ["channels": "1"])
    let state = try architecture.make(generator: Generator(seed: 0)).stateDict
    #expect(NetworkCatalog.matching(state.map { ($0.name, $0.tensor.shape) }).architectures == [architecture])
  }

  @Test func damagedAndForeignFilesAreNamed() throws {
    let scratch = try Scratch()
    func write(_ bytes: some Sequence<UInt8>) throws -> String {
      let path = scratch.file("m")
      try Data(bytes).write(to: URL(filePath: path))
      return path
    }
    let lenet5 = Architecture(name: "lenet5")
    var random = SeededGenerator(seed: 5)
    expectSentence([scratch.path, "not a model"]) {
      _ = try load(write((0..<5000).map { _ in UInt8.random(in: 0...255, using: &random) }))
    }
    expectSentence([scratch.path, "empty"]) { _ = try load(write([])) }
    for name in ["module.zip.pt", "module.legacy.pt", "tiny.ts", "expected.safetensors"] {
      let whole = try Fixtures.bytes("files/\(name)")
      for length in [whole.count - 1, whole.count / 2, 100] {
        expectSentence([scratch.path]) { _ = try load(write(whole.prefix(length)), name == "tiny.ts" ? nil : lenet5) }
      }
    }
    expectSentence(["bytes.npz", "a NumPy archive, not a model"]) { _ = try load(Fixtures.path("files/bytes.npz")) }
    for ending in ["zip.pt", "legacy.pt"] {
      expectSentence(["malicious-os-system", "os.system"]) {
        _ = try load(Fixtures.path("files/malicious-os-system.\(ending)"), lenet5)
      }
      expectSentence(["prefixed", "missing keys: conv1.weight", "unexpected keys: conv.weight"]) {
        _ = try load(Fixtures.path("files/prefixed.\(ending)"), lenet5)
      }
      expectSentence(["nested", "does not say which network they belong to", "sat models"]) {
        _ = try load(Fixtures.path("files/nested.\(ending)"))
      }
    }
  }

  @Test func normalisationsHaveTheChannelsOfTheImages() throws {
    let scratch = try Scratch()
    let path = scratch.file("m")
    try ModelFile.save(NetworkClassifier("lenet5", seed: 0), to: path)
    expectSentence(["normalisation has 3 channels", "lenet5"]) { _ = try load(path, normalization: Normalization("cifar10")) }
    // Without the check, the script would get broadcast images of three channels that do not exist.
    let script = try load(Fixtures.path("files/tiny.ts"), normalization: Normalization("cifar10"))
    let data = try ImageDataset(name: "mine", split: "test", images: .zeros(2, 1, 8, 8), labels: Tensor([0, 1]))
    expectSentence(["normalisation has 3 channels", "mine", "have 1"]) { try script.check(data) }
    let fitting = try load(Fixtures.path("files/tiny.ts"), normalization: Normalization("0.5 0.25"))
    try fitting.check(data)
    let images = GoldenNumbers.images([3, 1, 8, 8])
    let plain = try load(Fixtures.path("files/tiny.ts")).classifier
    expectIdentical(try fitting.classifier.logits(images), try plain.logits((images - 0.5) / 0.25))
  }

  @Test func aFileThatCannotBeWrittenLeavesTheOldOne() throws {
    let scratch = try Scratch()
    let path = scratch.file("m")
    let other = try NetworkClassifier("lenet5", seed: 0)
    try ModelFile.save(NetworkClassifier("lenet5", seed: 1), to: path)
    let before = try Data(contentsOf: URL(filePath: path))
    expectSentence(["nowhere/m", "folder"]) { try ModelFile.save(other, to: scratch.file("nowhere/m")) }
    try FileManager.default.createDirectory(atPath: scratch.file("folder"), withIntermediateDirectories: true)
    expectSentence(["is a folder"]) { try ModelFile.save(other, to: scratch.file("folder")) }
    #expect(try Data(contentsOf: URL(filePath: path)) == before)
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path).sorted() == ["folder", "m"])
  }
}
