import Foundation
import Testing

@testable import SwiftTorch

/// Compares the files that PyTorch wrote to `Fixtures/files` with `contents.json`.
@Suite struct CheckpointFixtureTests {
  struct Contents: Decodable {
    struct Good: Decodable, Sendable {
      let name: String
      let under: String
      let keys: [String]
    }
    struct Bad: Decodable, Sendable {
      let name: String
      let names: [String]
    }
    let marker: String
    let good: [Good]
    let bad: [Bad]
  }

  static let contents = try! JSONDecoder().decode(
    Contents.self, from: Data(contentsOf: URL(fileURLWithPath: fixture("contents.json"))))
  static let expected = try! SafeTensorsHeader.parse(FileBytes.read(fixture("expected.safetensors"))).tensors

  @Test(arguments: contents.good, ["zip", "legacy"])
  func stateDictsEqualPyTorch(good: Contents.Good, format: String) throws {
    let checkpoint = try PyTorchCheckpoint.read(fixture("\(good.name).\(format).pt"))
    let state = try checkpoint.stateDict()
    #expect(state.location == good.under)
    #expect(state.entries.map(\.name) == good.keys)
    #expect(state.others.isEmpty)
    let tensors = try state.tensors()
    #expect(tensors.count == good.keys.count)
    for (entry, made) in zip(state.entries, tensors) {
      let key = entry.name.hasPrefix("module.") ? String(entry.name.dropFirst("module.".count)) : entry.name
      let wanted = try #require(Self.expected.first { $0.name == "\(good.name)/\(key)" }?.tensor)
      #expect(entry.tensor.dtype == wanted.dtype && entry.tensor.shape == wanted.shape, "\(entry.name)")
      #expect(try entry.tensor.packedBytes() == wanted.packedBytes(), "\(entry.name)")
      #expect(entry.tensor.requiresGrad == (good.name == "parameters"), "\(entry.name)")
      #expect(made.tensor.dtype == wanted.dtype && made.tensor.shape == wanted.shape, "\(entry.name)")
      #expect(try made.tensor.hostBytes() == wanted.packedBytes(), "\(entry.name)")
    }
  }

  @Test(arguments: ["zip", "legacy"])
  func viewsOfOneStorageShareMemory(format: String) throws {
    let tensors = try PyTorchCheckpoint.read(fixture("views.\(format).pt")).stateDict().tensors()
    #expect(Set(tensors.map(\.tensor.storageIdentifier)).count == 1)
    let separate = try PyTorchCheckpoint.read(fixture("dict.\(format).pt")).stateDict().tensors()
    #expect(Set(separate.map(\.tensor.storageIdentifier)).count == separate.count)
  }

  @Test(arguments: contents.bad, ["zip", "legacy"])
  func badPicklesAreRefusedInOneSentence(bad: Contents.Bad, format: String) throws {
    let path = fixture("\(bad.name).\(format).pt")
    let text = message { try PyTorchCheckpoint.read(path).stateDict() }
    #expect(text.hasPrefix("\(path): ") && !text.contains("\n"), "\(text)")
    for name in bad.names { #expect(text.contains(name), "\(text)") }
    for marker in [Self.contents.marker, fixture(Self.contents.marker)] { #expect(!FileManager.default.fileExists(atPath: marker)) }
  }

  @Test(arguments: ["zip", "legacy"])
  func otherValuesOfTrainingCheckpoints(format: String) throws {
    let root = try PyTorchCheckpoint.read(fixture("nested.\(format).pt")).root
    guard case .int(3)? = root["epoch"]?.content, case .float(0.5)? = root["best"]?.content else {
      Issue.record("epoch or best is wrong")
      return
    }
    #expect(root["name"]?.string == "café")
    guard case .list(let flags)? = root["flags"]?.content, flags.count == 6, case .bool(true) = flags[0].content,
      case .none = flags[1].content, case .int(-7) = flags[2].content, case .int(1 << 40) = flags[3].content,
      case .list(let numbers) = flags[4].content, numbers.count == 2, case .bytes([0x62])? = flags[5]["a"]?.content
    else {
      Issue.record("flags are wrong")
      return
    }
    guard case .list(let shape)? = root["shape"]?.content, shape.count == 2, case .int(3) = shape[1].content else {
      Issue.record("shape is wrong")
      return
    }
    #expect(root["optimizer"]?["state"] != nil)
  }

  @Test func everyCutIsNoticed() throws {
    for format in ["zip", "legacy"] {
      let bytes = try FileBytes.read(fixture("dict.\(format).pt"))
      for length in 1..<bytes.count {
        let text = message { try PyTorchCheckpoint.decode(FileContents(Array(bytes.prefix(length)), name: "cut.pt")) }
        #expect(text.hasPrefix("cut.pt: "), "\(length) of \(bytes.count) bytes: \(text)")
      }
    }
  }

  @Test func otherFilesAreNamedForWhatTheyAre() {
    #expect(message { try PyTorchCheckpoint.read(fixture("tiny.ts")) }.contains("is a TorchScript archive"))
    #expect(message { try PyTorchCheckpoint.read(fixture("bytes.npz")) }.contains("is a NumPy archive"))
    #expect(message { try PyTorchCheckpoint.read(fixture("contents.json")) }.contains("is a file of unknown kind"))
    #expect(
      message { try PyTorchCheckpoint.read(fixture("not-a-dict.zip.pt")).stateDict() }
        .contains("holds a list instead of a state_dict"))
    #expect(message { try PyTorchCheckpoint.read(fixture("empty-dict.zip.pt")).stateDict() }.contains("an empty dictionary"))
  }

  @Test(.enabled(if: realData != nil, "real data are absent"))
  func publicCheckpointsLoad() throws {
    let folder = try #require(realData) + "/checkpoints"
    for (name, keys, elements) in [
      ("advertorch_mnist_lenet5_advtrained.pt", 8, 648_226), ("advertorch_mnist_lenet5_clntrained.pt", 8, 648_226),
      ("cifar_cnn_a_adv.model", 8, 214_918), ("resnet20-12fca82f.th", 97, 271_098),
    ] {
      let state = try PyTorchCheckpoint.read("\(folder)/\(name)").stateDict()
      #expect(state.entries.count == keys && state.entries.reduce(0) { $0 + $1.tensor.count } == elements, "\(name)")
      #expect(try state.tensors().map(\.tensor.shape) == state.entries.map(\.tensor.shape))
    }
  }
}

/// Reads pickles written by hand, opcode by opcode.
@Suite struct CheckpointPickleTests {
  private static func text(_ text: String) -> [UInt8] { Array("X".utf8) + little(UInt32(text.utf8.count)) + Array(text.utf8) }

  private static func run(_ parts: [UInt8]...) throws -> CheckpointValue {
    var machine = Unpickler([0x80, 2] + parts.flatMap { $0 } + Array(".".utf8))
    let value = try machine.run()
    return try machine.value(value, storages: [])
  }

  private static func ascii(_ text: String) -> [UInt8] { Array(text.utf8) }

  @Test func numbersOfAllWidths() throws {
    let cases: [([UInt8], Int)] = [
      ([0x4B, 255], 255), ([0x4D, 0xFF, 0xFF], 65535), ([0x4A, 0xFE, 0xFF, 0xFF, 0xFF], -2), ([0x8A, 0], 0),
      ([0x8A, 1, 0x80], -128),
      ([0x8A, 2, 0xFF, 0], 255), ([0x8A, 9] + [UInt8](repeating: 0xFF, count: 9), -1), ([0x8B, 1, 0, 0, 0, 7], 7),
      (Self.ascii("I-12\n"), -12),
      (Self.ascii("L99L\n"), 99), ([0x8A, 8] + little(Int64.min), .min),
    ]
    for (bytes, wanted) in cases {
      guard case .int(wanted) = try Self.run(bytes).content else {
        Issue.record("\(bytes) is not \(wanted)")
        continue
      }
    }
    guard case .other = try Self.run([0x8A, 9, 0, 0, 0, 0, 0, 0, 0, 0x80, 0]).content else {
      Issue.record("2^63 does not fit")
      return
    }
    guard case .float(1.5) = try Self.run([0x47] + little((1.5).bitPattern.byteSwapped)).content,
      case .float(2.5) = try Self.run(Self.ascii("F2.5\n")).content
    else {
      Issue.record("a decimal number is wrong")
      return
    }
  }

  @Test func laterKeysReplaceEarlierOnes() throws {
    let value = try Self.run(
      Self.ascii("}("), Self.text("a"), Self.ascii("K\u{1}"), Self.text("b"), Self.ascii("N"), Self.text("a"), Self.ascii("K\u{2}u")
    )
    guard case .dictionary(let entries) = value.content, entries.count == 2, case .int(2)? = value["a"]?.content else {
      Issue.record("\(value)")
      return
    }
  }

  @Test func containersOfPythonBecomePlainValues() throws {
    let pairs = Self.ascii("]") + Self.text("k") + [0x4B, 1, 0x86] + Self.ascii("a")
    for name in ["collections\nOrderedDict", "builtins\ndict", "__builtin__\ndict"] {
      guard case .int(1)? = try Self.run(Self.ascii("c\(name)\n"), pairs, [0x85], Self.ascii("R"))["k"]?.content else {
        Issue.record("\(name) of pairs")
        continue
      }
    }
    let raw = Self.ascii("c_codecs\nencode\n") + Self.text("ø?") + Self.text("latin1") + [0x86] + Self.ascii("R")
    guard case .bytes([0xF8, 0x3F]) = try Self.run(raw).content else {
      Issue.record("bytes of protocol 2")
      return
    }
  }

  /// Classes and functions that no state_dict needs become records of their names and attributes.
  @Test func everyOtherCallStaysOpaque() throws {
    let state = Self.ascii("}") + Self.text("lr") + Self.ascii("K\u{5}s")
    let made: [(String, [UInt8])] = [
      ("argparse.Namespace", Self.ascii("cargparse\nNamespace\n)") + [0x81] + state + Self.ascii("b")),
      ("my.Settings", Self.ascii("(imy\nSettings\n") + state + Self.ascii("b")),
      ("my.Slots", Self.ascii("cmy\nSlots\n)") + [0x81] + Self.ascii("N") + state + [0x86] + Self.ascii("b")),
      ("my.Dict", Self.ascii("cmy\nDict\n)") + [0x81] + Self.ascii("(") + Self.text("lr") + Self.ascii("K\u{5}u")),
      ("my.Old", Self.ascii("ccopy_reg\n_reconstructor\n(cmy\nOld\nc__builtin__\ndict\n") + state + Self.ascii("tR")),
      ("my.Partial", Self.ascii("cmy\nPartial\n)R)R") + state + Self.ascii("b")),
    ]
    for (type, bytes) in made {
      let value = try Self.run(bytes)
      guard case .object(type, let attributes) = value.content, attributes.count == 1, case .int(5)? = value["lr"]?.content else {
        Issue.record("\(type): \(value.content)")
        continue
      }
      #expect(value.kind == "an object of '\(type)'")
    }
    for name in ["posix.system", "builtins.getattr", "torch.storage._load_from_bytes", "numpy.core.multiarray._reconstruct"] {
      let (module, function) = (name.split(separator: ".").dropLast().joined(separator: "."), name.split(separator: ".").last!)
      let call = Self.ascii("c\(module)\n\(function)\n") + Self.text("touch x") + [0x85] + Self.ascii("R")
      #expect(try Self.run(call).kind == "an object of '\(name)'")
    }
    #expect(try Self.run([0x82, 1]).kind.contains("extension 1"))
    #expect(try Self.run(Self.ascii("cos\u{1}\nsystem\r\n")).kind.contains("'os?.system?'"))
  }

  @Test func argumentsWithAnotherMeaningLeaveATensorOpaque() throws {
    let storage =
      Self.ascii("(") + Self.text("storage") + Self.ascii("ctorch\nFloatStorage\n") + Self.text("0") + Self.text("cpu")
      + Self.ascii("K\u{4}tQ")
    func kind(_ function: String, _ end: [UInt8]) throws -> String {
      let arguments = Self.ascii("(") + storage + Self.ascii("K\u{0}(K\u{2}t(K\u{1}t") + end + Self.ascii("t")
      let pickle: [UInt8] = [0x80, 2] + Self.ascii("ctorch._utils\n\(function)\n") + arguments + Self.ascii("R.")
      let file = zipCheckpoint(pickle, storages: ["0": [UInt8](repeating: 0, count: 16)])
      return try PyTorchCheckpoint.decode(FileContents(file, name: "f")).root.kind
    }
    let none = Self.ascii("}")
    #expect(try kind("_rebuild_tensor", []) == "a tensor")
    #expect(try kind("_rebuild_tensor_v2", [0x89] + none) == "a tensor")
    #expect(try kind("_rebuild_tensor_v2", [0x89] + none + Self.ascii("}") + Self.text("neg") + [0x88, 0x73]) == "a tensor")
    let opaque: [(String, [UInt8])] = [
      ("_rebuild_tensor", [0x89]), ("_rebuild_tensor_v2", Self.ascii("K\u{1}") + none),
      ("_rebuild_tensor_v2", [0x89] + Self.ascii("}K\u{1}K\u{1}s")), ("_rebuild_tensor_v2", [0x89] + none + Self.ascii("K\u{1}")),
      ("_rebuild_tensor_v2", [0x89] + none + Self.ascii("}") + Self.text("axis") + [0x88, 0x73]),
      ("_rebuild_tensor_v2", [0x89] + none + Self.ascii("}") + Self.text("conj") + [0x88, 0x73]),
      ("_rebuild_tensor_v3", [0x89] + none), ("_rebuild_tensor_v3", [0x89] + none + Self.ascii("ctorch\nfloat99\n")),
      ("_rebuild_tensor_v3", [0x89] + none + Self.ascii("ctorch\nqint8\n")),
    ]
    for (function, end) in opaque { #expect(try kind(function, end) == "an object of 'torch._utils.\(function)'", "\(end)") }
  }

  @Test func protocol4And5Opcodes() throws {
    func short(_ text: String) -> [UInt8] { [0x8C, UInt8(text.utf8.count)] + Array(text.utf8) + [0x94] }
    let start =
      [0x95] + little(UInt64(20)) + short("collections") + short("OrderedDict") + [0x93, 0x94] + Self.ascii(")R") + [0x94]
    let items =
      short("set") + [0x8F, 0x94] + Self.ascii("(") + [0x4B, 1, 0x90] + Self.ascii("s") + short("bytes") + [0x96]
      + little(UInt64(2)) + [7, 8, 0x73]
    let value = try Self.run(start, items)
    guard case .list(let set)? = value["set"]?.content, set.count == 1, case .int(1) = set[0].content,
      case .bytes([7, 8])? = value["bytes"]?.content
    else {
      Issue.record("\(value)")
      return
    }
    // The fourth value in the memo is the dictionary itself.
    let cyclic = try Self.run(start, items, short("self"), [0x68, 3, 0x73])
    #expect(cyclic["self"]?["self"]?["self"]?["bytes"] != nil)
  }

  @Test func nestingAndCyclesDoNotMatter() throws {
    // Lists in lists and tuples in tuples are a million deep, and a chain through the memo is 200,000 deep.
    let deep = 1_000_000
    let lists = [UInt8](repeating: 0x5D, count: deep) + [UInt8](repeating: 0x61, count: deep - 1)
    #expect(try Self.run(lists).kind == "a list")
    #expect(try Self.run([0x29] + [UInt8](repeating: 0x85, count: deep)).kind == "a list")
    let chain = [0x5D, 0x71, 0] + [UInt8]((0..<200_000).flatMap { _ in [0x5D, 0x68, 0, 0x61, 0x71, 0] as [UInt8] })
    #expect(try Self.run(chain).kind == "a list")
    guard case .list(let cyclic) = try Self.run([0x5D, 0x71, 0, 0x68, 0, 0x61]).content, cyclic.count == 1 else {
      Issue.record("a list that holds itself")
      return
    }
  }

  @Test func sharedPartsDoNotMultiply() throws {
    // Each list holds the list before it twice. A tree would have 2^60 leaves, but the file has 60 lists.
    var bytes: [UInt8] = [0x5D, 0x71, 0]
    for level in 0..<60 { bytes += [0x5D, 0x68, UInt8(level), 0x61, 0x68, UInt8(level), 0x61, 0x71, UInt8(level + 1)] }
    guard case .list(let top) = try Self.run(bytes).content, top.count == 2 else {
      Issue.record("not a list of two")
      return
    }
    // A few bytes copy a long list again and again.
    var copies: [UInt8] =
      Self.ascii("](") + [UInt8](repeating: 0x4E, count: 10_000) + Self.ascii("e") + [0x85, 0x71, 0]
      + Self.ascii("cbuiltins\nset\n") + [0x71, 1]
    for _ in 0..<10_000 { copies += [0x68, 1, 0x68, 0, 0x52] }
    #expect(message { try Self.run(copies) }.contains("copies more than"))
  }

  @Test func sizesAreCheckedAgainstTheFile() {
    for opcode: [UInt8] in [[0x8D], [0x8E], [0x96], [0x95]] {
      #expect(message { try Self.run(opcode + little(UInt64(1) << 62)) }.contains("cut off"))
      #expect(message { try Self.run(opcode + little(UInt64.max)) }.contains("impossible size"))
    }
    #expect(message { try Self.run([0x8B] + little(UInt32.max)) }.contains("cut off"))
    #expect(message { try Self.run([0x58] + little(UInt32.max)) }.contains("cut off"))
  }

  @Test func byteOrderAndStoragesAreChecked() {
    let plain: [UInt8] = [0x80, 2, 0x7D, 0x2E]
    #expect(
      message { try PyTorchCheckpoint.decode(FileContents(zipCheckpoint(plain, byteorder: "big"), name: "f")) }.contains(
        "byte order 'big'; expected little"))
    func storage(_ type: String) -> [UInt8] {
      [0x80, 2] + Self.ascii("(") + Self.text("storage") + Self.ascii("ctorch\n\(type)\n") + Self.text("0") + Self.text("cpu") + [
        0x4B, 4,
      ] + Self.ascii("tQ.")
    }
    let pickle = storage("FloatStorage")
    #expect(
      message { try PyTorchCheckpoint.decode(FileContents(zipCheckpoint(pickle), name: "f")) }.contains("f: lacks the storage '0'"))
    #expect(
      message { try PyTorchCheckpoint.decode(FileContents(zipCheckpoint(pickle, storages: ["0": [1]]), name: "f")) }.contains(
        "has 1 bytes where 4 elements"))
  }

  @Test func setsOfWeightsAreFoundInOrder() throws {
    func tensor(_ value: UInt8) -> [UInt8] {
      Self.ascii("ctorch._utils\n_rebuild_tensor\n(") + Self.ascii("(") + Self.text("storage") + Self.ascii("ctorch\nByteStorage\n")
        + Self.text("\(value)") + Self.text("cpu") + Self.ascii("K\u{1}tQK\u{0}(K\u{1}t(K\u{1}ttR")
    }
    func dictionary(_ items: (String, [UInt8])...) -> [UInt8] {
      Self.ascii("}") + items.flatMap { Self.text($0.0) + $0.1 + Self.ascii("s") }
    }
    func module(_ parameters: [UInt8], _ modules: [UInt8]) -> [UInt8] {
      Self.ascii("cmy\nNet\n)") + [0x81]
        + dictionary(
          ("_parameters", parameters), ("_modules", modules), ("_buffers", dictionary(("t", tensor(6)), ("k", tensor(7)))),
          ("_non_persistent_buffers_set", Self.ascii("c__builtin__\nset\n](") + Self.text("t") + Self.ascii("e") + [0x85, 0x52]))
        + Self.ascii("b")
    }
    func states(_ root: [UInt8]) throws -> [StateDict] {
      let storages = Dictionary(uniqueKeysWithValues: (0..<10).map { ("\($0)", [UInt8($0)]) })
      let file = zipCheckpoint([0x80, 2] + root + Self.ascii("."), storages: storages)
      return try PyTorchCheckpoint.decode(FileContents(file, name: "f")).stateDicts()
    }
    let none = Self.ascii("N")
    let optimizer = dictionary(("state", dictionary(("0", dictionary(("step", tensor(5)))))), ("param_groups", Self.ascii("]")))
    let mixed = try states(
      dictionary(
        ("best_acc", tensor(1)), ("optimizer", optimizer), ("ema", dictionary(("w", tensor(3)))),
        ("net", dictionary(("w", tensor(2)), ("n", none)))))
    #expect(mixed.map(\.location) == ["net", "", "ema"])
    #expect(mixed[0].entries.map(\.name) == ["w"] && mixed[0].others.map(\.name) == ["n"])
    #expect(try mixed[0].tensors()[0].tensor.array(of: UInt8.self) == [2])
    // A saved module gives its state_dict, without the buffers that are not persistent.
    let inner = module(dictionary(("weight", tensor(8)), ("bias", none)), dictionary())
    let whole = try states(
      dictionary(("epoch", Self.ascii("K\u{1}")), ("model", module(dictionary(("w", tensor(9))), dictionary(("fc", inner))))))
    #expect(whole.count == 1 && whole[0].location == "model")
    #expect(whole[0].entries.map(\.name) == ["w", "k", "fc.weight", "fc.k"] && whole[0].others.isEmpty)
    let sparse = Self.ascii("ctorch._utils\n_rebuild_sparse_tensor\n)R")
    let beside = try states(dictionary(("a", tensor(1)), ("b", sparse)))
    #expect(beside[0].others.map(\.kind) == ["a sparse tensor"])
  }
}
