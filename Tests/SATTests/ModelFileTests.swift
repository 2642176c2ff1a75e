import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// Tests of MODEL arguments: the contents of a file tell its kind.
@Suite struct ModelFileTests {
  func load(_ path: String, _ architecture: Architecture? = nil, _ normalization: Normalization? = nil) throws -> LoadedModel {
    try ModelFile.load(
      path: path, architecture: architecture, normalization: normalization,
      execution: Execution(device: "cpu", memoryFormat: .contiguous))
  }

  @Test func whatIsSavedIsLoaded() throws {
    let scratch = try Scratch()
    let architecture = Architecture(name: "cnn-a", options: ["classes": "7", "channels": "1"])
    let network = NetworkClassifier(
      try architecture.make(generator: Generator(seed: 3)), architecture: architecture,
      normalization: try Normalization("0.25 0.75"))
    // The name does not tell the contents.
    let path = "\(scratch.path)/model.jpeg"
    try ModelFile.save(network, to: path)
    let loaded = try load(path)
    let images = GoldenNumbers.images([3, 1, 28, 28])
    expectIdentical(
      try loaded.classifier.logits(images),
      try network.withMode(.evaluation) { () throws(TorchError) in try network.logits(images) })
    #expect(loaded.inputShape == [1, 28, 28])
    let stripped = try load(path, nil, Normalization("mnist"))
    #expect(
      try !stripped.classifier.logits(images).isClose(to: network.logits(images)),
      "a normalisation that is given replaces the file's")
    #expect(throws: SATError.self) { try load(path, Architecture(name: "lenet5")) }
  }

  @Test func layoutsAndPrecisionsAgree() throws {
    let scratch = try Scratch()
    let network = try NetworkClassifier("resnet20", seed: 3)
    try ModelFile.save(network, to: "\(scratch.path)/m")
    let model = try load("\(scratch.path)/m").classifier
    let images = GoldenNumbers.images([4, 3, 32, 32])
    func logits(_ execution: Execution) throws -> Tensor {
      model.execution = execution
      return withNoGrad { try! model.logits(images.contiguous(execution.memoryFormat.format)) }
    }
    let plain = try logits(Execution(memoryFormat: .contiguous))
    expectClose(try logits(Execution(memoryFormat: .channelsLast)), plain, absolute: 1e-5, relative: 1e-5, "channels-last")
    let half = try logits(Execution(precision: .bf16))
    #expect(half.dtype == .float32)
    #expect(!half.isEqual(to: plain), "bf16 computes in bf16")
    #expect((half - plain).abs().max().item() < 0.1 * plain.abs().max().item())
  }

  @Test func aTorchScriptArchiveNeedsNoName() throws {
    let path = Fixtures.path("files/tiny.ts")
    let model = try load(path)
    #expect(model.inputShape == nil)
    #expect(throws: SATError.self) { try load(path, Architecture(name: "lenet5")) }
  }

  @Test(arguments: [
    ("advertorch_mnist_lenet5_advtrained.pt", "lenet5"), ("advertorch_mnist_lenet5_clntrained.pt", "lenet5"),
    ("cifar_cnn_a_adv.model", "cnn-a"), ("resnet20-12fca82f.th", "resnet20"),
  ])
  func publicCheckpointsAreReadAndRecognised(file: String, architecture: String) throws {
    guard let path = RealData.path("checkpoints/\(file)") else { return }
    let model = try load(path, Architecture(name: architecture))
    #expect(model.classifier is NetworkClassifier)
    let unnamed = #expect(throws: SATError.self) { try load(path) }
    #expect(unnamed?.message.contains("add --model \(architecture)") == true, "\(unnamed?.message ?? "")")
    let wrong = #expect(throws: TorchError.self) { try load(path, Architecture(name: "small-cnn")) }
    #expect(wrong?.message.contains("missing keys: feature_extractor.conv1.weight") == true)
    let resized = #expect(throws: TorchError.self) { try load(path, Architecture(name: architecture, options: ["classes": "12"])) }
    #expect(resized?.message.contains("wrong shapes") == true)
  }

  /// Checks the clean accuracy, 98.64 % of 10,000 test digits, and the accuracy under PGD-40 (0.3, step 0.01) of the first 500.
  ///
  /// TorchScript must give the same numbers.
  @Test func theAdvertorchNetworkScoresAsPublished() throws {
    let name = "checkpoints/advertorch_mnist_lenet5_advtrained.pt"
    guard let path = RealData.path(name), let folder = RealData.folder else { return }
    let data = try DataSource("mnist").load(.test, root: DataRoot(option: folder))
    func evaluate(_ model: any Classifier, _ data: ImageDataset, _ attacks: [any Attack]) throws -> Evaluation {
      try Evaluator(model: model, data: data, batchSize: 500, device: .cpu, layout: .channelsLast).run(attacks)
    }
    let native = try load(path, Architecture(name: "lenet5")).classifier
    #expect(try evaluate(native, data, []).cleanCorrect == 9864)
    let attack = PGD(InnerMaximizer(threat: try ThreatModel(epsilon: 0.3), steps: 40, stepSize: 0.01), seed: 0)
    let attacked = try evaluate(native, data.subset(0..<500), [attack])
    #expect((459...471).contains(attacked.robustCorrect), "\(attacked.robustCorrect) of 500")

    let scratch = try Scratch()
    guard let archive = try exported(path, model: "lenet5", in: scratch) else { return }
    let script = try evaluate(try load(archive).classifier, data.subset(0..<500), [attack])
    #expect(script.cleanCorrect == attacked.cleanCorrect)
    #expect(abs(script.robustCorrect - attacked.robustCorrect) <= 1)
  }

  /// Returns the TorchScript archive that `models/export_torchscript.py` makes of a checkpoint.
  ///
  /// Without Python it prints the reason and returns nil.
  private func exported(_ path: String, model: String, in scratch: Scratch) throws -> String? {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let python = Process()
    python.executableURL = root.appending(path: "build/python")
    guard FileManager.default.isExecutableFile(atPath: python.executableURL!.path) else {
      print("skipped: build/python is not there; scripts/bootstrap --with-tests makes it")
      return nil
    }
    let output = "\(scratch.path)/\(model).ts"
    python.arguments = [root.appending(path: "models/export_torchscript.py").path, path, "--model", model, "--output", output]
    try python.run()
    python.waitUntilExit()
    #expect(python.terminationStatus == 0)
    return output
  }

  @Test func whatDoesNotFitTheDataIsSaid() throws {
    let scratch = try Scratch()
    let network = try NetworkClassifier("lenet5", seed: 0)
    try ModelFile.save(network, to: "\(scratch.path)/m")
    let model = try load("\(scratch.path)/m")
    func message(_ images: Tensor, _ labels: [Int]) throws -> String {
      let data = try ImageDataset(name: "mine", split: "test", images: images, labels: Tensor(labels))
      do { try model.check(data) } catch { return error.message }
      return ""
    }
    #expect(try message(.zeros(2, 1, 28, 28), [0, 9]) == "")
    #expect(try message(.zeros(2, 3, 28, 28), [0, 9]).contains("[3, 28, 28]"))
    #expect(try message(.zeros(2, 1, 28, 28), [0, 10]).contains("10 classes"))
    let script = try load(Fixtures.path("files/tiny.ts"))
    let data = try ImageDataset(name: "mine", split: "test", images: .zeros(2, 5, 9, 9), labels: Tensor([0, 1]))
    let error = #expect(throws: SATError.self) { try script.check(data) }
    #expect(error?.message.contains("does not take the images of mine") == true, "\(error?.message ?? "")")
    #expect(error?.message.contains("\n") == false, "one sentence: \(error?.message ?? "")")
  }
}
