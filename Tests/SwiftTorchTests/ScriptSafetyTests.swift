import Foundation
import Testing

@testable import SwiftTorch

/// Archives from strangers: code that could reach files, processes or the network is refused before libtorch sees it.
@Suite struct ScriptSafetyTests {
  private static let markers = "/tmp/sat-harm-"

  @Test(arguments: [
    ("writes", "torch.from_file"), ("reads", "torch.from_file"), ("saves", "torch.save"), ("loading", "torch.from_file"),
    ("below", "torch.from_file"), ("method", "torch.from_file"), ("unreached", "torch.from_file"),
  ])
  func harmfulArchivesAreRefusedBeforeTheyRun(name: String, called: String) throws {
    let file = try FileContents.read(fixture("harm-\(name).ts"))
    let error = #expect(throws: TorchError.self) { _ = try ScriptModule(file) }
    #expect(error?.message.contains("uses \(called)") == true, "\(error?.message ?? "")")
    #expect(!FileManager.default.fileExists(atPath: Self.markers + name))
  }

  /// The same archives do harm if they are trusted. Without this the test above would prove nothing.
  @Test(arguments: ["writes", "loading", "method"]) func aTrustedArchiveRuns(name: String) throws {
    let marker = Self.markers + name
    defer { try? FileManager.default.removeItem(atPath: marker) }
    let script = try ScriptModule(FileContents.read(fixture("harm-\(name).ts")), trusted: true)
    #expect(script.questionableOperators == ["torch.from_file"])
    _ = try script(Tensor.zeros(1, 1, 6, 6))
    #expect(FileManager.default.fileExists(atPath: marker))
  }

  /// Every archive of the tests that is not harmful, among them a vision transformer's operators, scripted and traced.
  @Test func ordinaryArchivesAreAccepted() throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: fixture("")).filter {
      $0.hasSuffix(".ts") && !$0.hasPrefix("harm-")
    }
    #expect(names.count > 20)
    for name in names {
      let archive = try FileContents.read(fixture(name)).archive()
      var code = ScriptCode()
      for entry in archive.entries {
        if entry.name.hasSuffix(".py") { code.scan(try archive.contents(of: entry)) }
        if entry.name.hasSuffix(".pkl") { code.scan(pickle: try archive.contents(of: entry)) }
      }
      #expect(code.refused.isEmpty, "\(name): \(code.refused.sorted())")
    }
  }

  private static func refused(_ text: String) -> Set<String> {
    var code = ScriptCode()
    code.scan(Array(text.utf8))
    return code.refused
  }

  @Test(arguments: [
    "x = torch.from_file(\"f\", True, 1)", "x = torch . from_file (\"f\")", "x = torch.\n  from_file(\"f\")", "f = torch.from_file",
    "t = torch", "t = ops", "x = ops.aten.from_file(\"f\")", "x = ops.mine.run(x)", "n = ops.aten", "(x).save(\"f\")",
    "x = getattr(x, \"save\")(\"f\")", "x = getattr(x, \"sa\" \"ve\")(\"f\")", "x = getattr(x, \"s\\x61ve\")(\"f\")",
    "x = getattr(torch, name)", "x = getattr(getattr(x, \"save\"), \"y\")", "x = rpc_sync(\"w\", f)", "x = torch.add.save(x)",
    "c : __torch__.torch.classes.dist_rpc.WorkerInfo", "x = torch.nothing_of_this_name(x)", "s = \"\"\"a\"\"\"; torch.from_file(s)",
    "s = 'it\\'s' + torch.from_file(s)", "# torch\nx = torch.from_file(x)", "x = \\\n torch.add(x, 1)", "x = prim.PythonOp(x)",
  ])
  func harmfulTextIsFound(text: String) { #expect(!Self.refused(text).isEmpty) }

  @Test(arguments: [
    "s = \"torch.from_file\"", "# torch.from_file(\"f\")\nx = torch.add(x, 1)", "x = (self.conv).forward(torch.relu(x), )",
    "y = getattr(self, \"0\")", "y = (getattr(self.head, \"1\")).forward(x, )", "x = ops.quantized.linear_relu(x, w, 1.0e-05, 0)",
    "w : __torch__.torch.classes.quantized.LinearPackedParamsBase", "_0 = __torch__.torch.nn.functional.relu", "ops_ = x.torch",
    "raise AssertionError(\"torch.save: \\\"no\\\"\")",
  ])
  func harmlessTextIsAccepted(text: String) { #expect(Self.refused(text).isEmpty, "\(Self.refused(text))") }

  @Test func classesOfCppInPicklesAreFound() {
    func refused(_ text: String) -> Set<String> {
      var code = ScriptCode()
      code.scan(pickle: Array(text.utf8))
      return code.refused
    }
    #expect(refused("\u{2}c__torch__.torch.classes.dist_rpc\nWorkerInfo\n)") == ["__torch__.torch.classes.dist_rpc.WorkerInfo"])
    #expect(!refused("c__torch__.torch\nclasses.rpc.X\n").isEmpty)
    #expect(refused("c__torch__.torch.classes.quantized\nConv2dPackedParamsBase\nc__torch__\nNet\n").isEmpty)
  }

  /// Mutations of harmful code: a mutation that is accepted no longer names the call.
  @Test func noMutationHidesACall() async {
    let run = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      let seeds = [
        "def forward(self, x: Tensor) -> Tensor:\n  y = torch.from_file(\"f\", True, 16)\n  return torch.add(x, y, )\n",
        "class A(Module):\n  def f(self, x):\n    z = ops.aten.save(x, \"f\")\n    return (getattr(self, \"0\")).forward(z, )\n",
      ].map { Array($0.utf8) }
      fuzz("script code", seeds: seeds) { bytes, _ in
        var code = ScriptCode()
        code.scan(bytes)
        guard code.refused.isEmpty else { return false }
        // Only text and comments may still hold the words.
        var rest = ""
        var quoted = false
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
          for character in line {
            if character == "#" && !quoted { break }
            if character == "\"" || character == "'" { quoted.toggle() }
            if !quoted { rest.append(character) }
          }
        }
        precondition(quoted || !(rest.contains("torch.from_file(") || rest.contains("ops.aten.save(")), "accepted: \(rest)")
        return true
      }
    }
    report(run)
  }
}
