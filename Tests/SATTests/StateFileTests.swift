import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// Tests of the behaviour that all state files share.
@Suite struct StateResumeTests {
  private static let kind = StateFile.Kind(format: "test/1", work: "a test")

  @Test func theFirstAspectThatDiffersIsNamed() {
    let identity: StateIdentity = ["model": "m", "seed": "1", "judge": "votes"]
    #expect(identity.difference(from: ["judge": "votes", "seed": "1", "model": "m"]) == nil, "the order is no difference")
    let other = identity.difference(from: ["model": "m", "seed": "2", "judge": "none"])
    #expect(other?.aspect == "seed" && other?.theirs == "2" && other?.ours == "1")
    // An older state lacks an aspect, a newer one has one more.
    let older = identity.difference(from: ["model": "m", "seed": "1"])
    #expect(older?.aspect == "judge" && older?.theirs == "none" && older?.ours == "votes")
    let newer = identity.difference(from: ["model": "m", "seed": "1", "judge": "votes", "processes": "2"])
    #expect(newer?.aspect == "processes" && newer?.theirs == "2" && newer?.ours == "none")
  }

  @Test func anAspectIsReplacedAddedAndTakenOut() {
    var identity: StateIdentity = ["model": "m", "seed": "1"]
    identity["model"] = "n"
    identity["grid"] = "3 x 3"
    identity["seed"] = nil
    #expect(identity == ["model": "n", "grid": "3 x 3"])
  }

  @Test func aPlaceIsAFolderUnlessItIsAFileAlready() throws {
    let scratch = try Scratch()
    let place = "\(scratch.path)/place"
    #expect(StatePlace.file(at: place) == "\(place)/state.safetensors")
    do {
      let file = try StateFile(at: place, Self.kind, identity: ["seed": "1"])
      try file.write([1])
    }
    #expect(FileManager.default.fileExists(atPath: "\(place)/state.safetensors"))
    // Early versions wrote some states to a file of the user's name.
    let old = "\(scratch.path)/old.state"
    try FileManager.default.copyItem(atPath: "\(place)/state.safetensors", toPath: old)
    #expect(StatePlace.file(at: old) == old)
    #expect(try StateFile(at: old, Self.kind, identity: ["seed": "1"]).read([Int].self)?.contents == [1])
    let error = #expect(throws: SATError.self) { _ = try StateFile(at: place, Self.kind, identity: ["seed": "2"]).read([Int].self) }
    #expect(error?.message.contains("another seed (1, not 2)") == true)
  }

  @Test func aFileIsHeldByOneAtATime() throws {
    let scratch = try Scratch()
    let path = "\(scratch.path)/state"
    var file: StateFile? = try StateFile(path, Self.kind, identity: ["seed": "1"])
    #expect(try file?.read([Int].self) == nil)
    try file?.write([1, 2], tensors: [("x", Tensor([3.5]))])
    let link = "\(scratch.path)/link"
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: path)
    for name in [path, link] {
      let error = #expect(throws: SATError.self) { _ = try StateFile(name, Self.kind, identity: ["seed": "1"]) }
      #expect(error?.message.contains("another process is keeping its state in \(name)") == true)
    }
    file = nil
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: scratch.path).sorted() == ["link", "state"], "the lock leaves nothing")
    let (contents, tensors) = try #require(try StateFile(path, Self.kind, identity: ["seed": "1"]).read([Int].self))
    #expect(contents == [1, 2] && tensors["x"]?.array(of: Double.self) == [3.5])
    #expect(throws: SATError.self) {
      _ = try StateFile(path, .init(format: "test/2", work: "a test"), identity: ["seed": "1"]).read([Int].self)
    }
    #expect(throws: SATError.self) { _ = try StateFile(path, Self.kind, identity: ["seed": "1"]).read([String].self) }
  }

  @Test func modelDataSeedPrecisionAndDeviceAreAspects() throws {
    func model(seed: UInt64, _ precision: Execution.Precision = .fp32, attacks: Execution.Precision? = nil) throws -> LoadedModel {
      let network = try NetworkClassifier("lenet5", seed: seed)
      network.execution = Execution(precision: precision, attackPrecision: attacks)
      return LoadedModel(path: "m", classifier: network, inputShape: nil, device: .cpu)
    }
    func data(_ value: Double) throws -> ImageDataset {
      try ImageDataset(name: "d", split: "test", images: .full([2, 1, 28, 28], value), labels: Tensor([0, 1]))
    }
    let own = try StateIdentity(model: model(seed: 1), data: data(0.5), seed: 3)
    #expect(own == (try StateIdentity(model: model(seed: 1), data: data(0.5), seed: 3)))
    let others = [
      ("model", try StateIdentity(model: model(seed: 2), data: data(0.5), seed: 3)),
      ("data", try StateIdentity(model: model(seed: 1), data: data(0.25), seed: 3)),
      ("seed", try StateIdentity(model: model(seed: 1), data: data(0.5), seed: 4)),
      ("precision", try StateIdentity(model: model(seed: 1, .bf16), data: data(0.5), seed: 3)),
      ("precision", try StateIdentity(model: model(seed: 1, attacks: .bf16), data: data(0.5), seed: 3)),
    ]
    for (aspect, other) in others { #expect(own.difference(from: other)?.aspect == aspect) }
    #expect(own["device"] == "cpu")
  }
}
