import Foundation
import SwiftTorch
import Testing

/// files/tiny.ts: a convolution, a branch on the batch's size and a linear layer (golden/files.py).
@Suite struct ScriptModuleTests {
  private func tiny() throws -> ScriptModule { try ScriptModule(FileContents(Fixtures.bytes("files/tiny.ts"), name: "tiny.ts")) }

  @Test func runsAndDifferentiatesAsPyTorch() throws {
    let golden = try Fixtures.tensors("files/expected")
    let script = try tiny()
    let x = try golden["tiny/input"].requireGrad()
    let y = try script(x)
    expectClose(y, try golden["tiny/output"])
    expectClose(try script(x[..<1]), try golden["tiny/output-of-one"], "the branch for one sample")
    let gradient = try #require(try Tensor.checkedGradient(of: y.square().sum(), withRespectTo: x))
    expectClose(gradient, try golden["tiny/gradient-of-squares"], absolute: 1e-5)
    for (name, parameter) in try script.namedParameters() { #expect(parameter.grad == nil, "\(name) has a gradient") }
  }

  @Test func parametersAreTheModulesOwn() throws {
    let golden = try Fixtures.tensors("files/expected")
    let script = try tiny()
    let parameters = try script.namedParameters()
    #expect(parameters.map(\.name) == ["conv.weight", "conv.bias", "fc.weight", "fc.bias"])
    for (name, tensor) in parameters { expectIdentical(tensor.detached(), try golden["tiny/\(name)"], name) }
    #expect(try script.namedBuffers().isEmpty)
    withNoGrad { for (_, tensor) in parameters { tensor.zeroInPlace() } }
    #expect(try script(try golden["tiny/input"]).abs().max().item() == 0)
  }

  @Test func theTrainingFlagIsReadAndSet() throws {
    let script = try tiny()
    #expect(!script.isTraining, "the archive was saved in evaluation mode")
    try script.setTraining(true)
    #expect(script.isTraining)
    expectTorchError(["evaluation mode"]) { _ = try script.frozen() }
    try script.setTraining(false)
    #expect(!script.isTraining)
    try script.move(to: .cpu)
  }

  @Test func aFrozenCopyGivesTheSameNumbers() throws {
    let golden = try Fixtures.tensors("files/expected")
    let script = try tiny()
    let frozen = try script.frozen()
    #expect(try frozen.namedParameters().isEmpty)
    expectClose(
      try withNoGrad { () throws(TorchError) in try frozen(golden.named["tiny/input"]!) }, try golden["tiny/output"], absolute: 1e-5
    )
  }

  @Test func buffersAreListedApart() throws {
    let script = try ScriptModule(FileContents(shimFixture("linear.pt"), name: "linear.pt"))
    #expect(try script.namedParameters().map(\.name) == ["fc.weight", "fc.bias"])
    #expect(try script.namedBuffers().map(\.name) == ["scale"])
    #expect(try script(Tensor([[1, 0, -1]] as [[Float]])).array(of: Float.self) == [-3, -5])
  }

  // MARK: What users get wrong

  @Test(arguments: ["no bytes": [], "text": Array("not an archive".utf8), "zeros": [UInt8](repeating: 0, count: 5000)])
  func garbageIsRefused(_ name: String, _ bytes: [UInt8]) {
    expectTorchError(["\(name) could not be loaded as TorchScript: "]) { _ = try ScriptModule(FileContents(bytes, name: name)) }
  }

  @Test(arguments: [1, 100, 2000, 5000]) func aTruncatedArchiveIsRefused(_ length: Int) throws {
    let bytes = try Fixtures.bytes("files/tiny.ts")
    try #require(bytes.count > length)
    expectTorchError(["tiny.ts could not be loaded as TorchScript: "]) {
      _ = try ScriptModule(FileContents(Array(bytes.prefix(length)), name: "tiny.ts"))
    }
  }

  @Test func aStateDictIsNotAScript() throws {
    let bytes = try Fixtures.bytes("files/module.zip.pt")
    expectTorchError(["module.pt could not be loaded as TorchScript: "]) {
      _ = try ScriptModule(FileContents(bytes, name: "module.pt"))
    }
  }

  @Test func aWrongInputIsNamedWithItsShape() throws {
    let script = try tiny()
    expectTorchError(["tiny.ts failed on an input of shape [2, 3, 8, 8]: ", "expected input[2, 3, 8, 8] to have 1 channels"]) {
      _ = try script(.zeros(2, 3, 8, 8))
    }
    expectTorchError(["tiny.ts failed on an input of shape [2, 1, 28, 28]: ", "shapes cannot be multiplied"]) {
      _ = try script(.zeros(2, 1, 28, 28))
    }
    #expect(try script(.zeros(2, 1, 8, 8)).shape == [2, 3], "it still works after an error")
  }

  @Test func aModelThatGivesTwoTensorsIsRefused() throws {
    let script = try ScriptModule(FileContents(shimFixture("pair.pt"), name: "pair.pt"))
    expectTorchError(["pair.pt failed on an input of shape [2]", "one tensor"]) { _ = try script(.zeros(2)) }
  }

  @Test func anAbsentDeviceIsRefused() throws {
    let bytes = try Fixtures.bytes("files/tiny.ts")
    let absent = Device.cuda(Device.cudaCount)
    expectTorchError(["tiny.ts could not be loaded as TorchScript: "]) {
      _ = try ScriptModule(FileContents(bytes, name: "tiny.ts"), device: absent)
    }
    expectTorchError([]) { try tiny().move(to: absent) }
  }

  private func shimFixture(_ name: String) throws -> [UInt8] {
    let root = Fixtures.folder.deletingLastPathComponent().deletingLastPathComponent()
    return [UInt8](try Data(contentsOf: root.appending(path: "shim/tests/fixtures/\(name)")))
  }
}
