import Foundation
import Testing

@testable import SwiftTorch

/// The files of `Fixtures/files`, which PyTorch wrote, and what `contents.json` says of them.
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
    #expect(state.entries.map { state.prefix + $0.name } == good.keys)
    #expect(state.prefix == (good.name == "prefixed" ? "module." : ""))
    #expect(state.ignored.isEmpty)
    let tensors = state.tensors()
    #expect(tensors.count == good.keys.count)
    for (entry, made) in zip(state.entries, tensors) {
      let wanted = try #require(Self.expected.first { $0.name == "\(good.name)/\(entry.name)" }?.tensor)
      #expect(entry.tensor.dtype == wanted.dtype && entry.tensor.shape == wanted.shape, "\(entry.name)")
      #expect(entry.tensor.packedBytes() == wanted.packedBytes(), "\(entry.name)")
      #expect(entry.tensor.requiresGrad == (good.name == "parameters"), "\(entry.name)")
      #expect(made.tensor.dtype == wanted.dtype && made.tensor.shape == wanted.shape, "\(entry.name)")
      #expect(made.tensor.hostBytes() == wanted.packedBytes(), "\(entry.name)")
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
    guard case .int(3)? = root["epoch"], case .float(0.5)? = root["best"], case .string("café")? = root["name"] else {
      Issue.record("epoch, best or name is wrong")
      return
    }
    guard case .list(let flags)? = root["flags"], flags.count == 6, case .bool(true) = flags[0], case .none = flags[1],
      case .int(-7) = flags[2], case .int(1 << 40) = flags[3], case .list(let numbers) = flags[4], numbers.count == 2,
      case .bytes([0x62])? = flags[5]["a"]
    else {
      Issue.record("flags are wrong")
      return
    }
    guard case .list(let shape)? = root["shape"], shape.count == 2, case .int(3) = shape[1] else {
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
    #expect(message { try PyTorchCheckpoint.read(fixture("contents.json")) }.contains("is no kind of file that is known here"))
    #expect(
      message { try PyTorchCheckpoint.read(fixture("not-a-dict.zip.pt")).stateDict() }.contains("holds no state_dict but a list"))
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
      #expect(state.tensors().map(\.tensor.shape) == state.entries.map(\.tensor.shape))
    }
  }
}

/// Pickles written by hand, opcode by opcode.
@Suite struct CheckpointPickleTests {
  private static func text(_ text: String) -> [UInt8] { Array("X".utf8) + little(UInt32(text.utf8.count)) + Array(text.utf8) }

  private static func run(_ parts: [UInt8]...) throws -> CheckpointValue {
    var machine = Unpickler([0x80, 2] + parts.flatMap { $0 } + Array(".".utf8))
    let value = try machine.run()
    return try machine.tree(value, storages: [])
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
      guard case .int(wanted) = try Self.run(bytes) else {
        Issue.record("\(bytes) is not \(wanted)")
        continue
      }
    }
    guard case .other = try Self.run([0x8A, 9, 0, 0, 0, 0, 0, 0, 0, 0x80, 0]) else {
      Issue.record("2^63 does not fit")
      return
    }
    guard case .float(1.5) = try Self.run([0x47] + little((1.5).bitPattern.byteSwapped)),
      case .float(2.5) = try Self.run(Self.ascii("F2.5\n"))
    else {
      Issue.record("a decimal number is wrong")
      return
    }
  }

  @Test func laterKeysReplaceEarlierOnes() throws {
    let value = try Self.run(
      Self.ascii("}("), Self.text("a"), Self.ascii("K\u{1}"), Self.text("b"), Self.ascii("N"), Self.text("a"), Self.ascii("K\u{2}u")
    )
    guard case .dictionary(let entries) = value, entries.count == 2, case .int(2)? = value["a"] else {
      Issue.record("\(value)")
      return
    }
  }

  @Test func harmlessTypesBecomePlainValues() throws {
    let pairs = Self.ascii("]") + Self.text("k") + [0x4B, 1, 0x86] + Self.ascii("a")
    guard case .int(1)? = try Self.run(Self.ascii("ccollections\nOrderedDict\n"), pairs, [0x85], Self.ascii("R"))["k"] else {
      Issue.record("OrderedDict of pairs")
      return
    }
    let namespace = Self.ascii("cargparse\nNamespace\n)") + [0x81] + Self.ascii("}") + Self.text("lr") + Self.ascii("K\u{5}sb")
    guard case .int(5)? = try Self.run(namespace)["lr"] else {
      Issue.record("Namespace")
      return
    }
    let device = Self.ascii("ctorch\ndevice\n") + Self.text("cuda") + [0x4B, 1, 0x86] + Self.ascii("R")
    guard case .string("cuda:1") = try Self.run(device) else {
      Issue.record("device")
      return
    }
    let dtype = Self.ascii("cnumpy\ndtype\n") + Self.text("f8") + [0x89, 0x88, 0x87] + Self.ascii("R")
    let raw =
      Self.ascii("c_codecs\nencode\n") + Self.text("\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}ø?") + Self.text("latin1") + [0x86]
      + Self.ascii("R")
    guard case .float(1.5) = try Self.run(Self.ascii("cnumpy.core.multiarray\nscalar\n"), dtype, raw, [0x86], Self.ascii("R"))
    else {
      Issue.record("numpy scalar")
      return
    }
  }

  @Test func protocol4And5Opcodes() throws {
    func short(_ text: String) -> [UInt8] { [0x8C, UInt8(text.utf8.count)] + Array(text.utf8) + [0x94] }
    let start =
      [0x95] + little(UInt64(20)) + short("collections") + short("OrderedDict") + [0x93, 0x94] + Self.ascii(")R") + [0x94]
    let items =
      short("set") + [0x8F, 0x94] + Self.ascii("(") + [0x4B, 1, 0x90] + Self.ascii("s") + short("bytes") + [0x96]
      + little(UInt64(2)) + [7, 8, 0x73]
    let value = try Self.run(start, items)
    guard case .list(let set)? = value["set"], set.count == 1, case .int(1) = set[0], case .bytes([7, 8])? = value["bytes"] else {
      Issue.record("\(value)")
      return
    }
    // The fourth thing memoized is the dictionary itself.
    #expect(message { try Self.run(start, items, short("self"), [0x68, 3, 0x73]) }.contains("inside itself"))
  }

  @Test func everyOtherGlobalIsNamedAndRefused() {
    for name in [
      "posix\nsystem\n", "builtins\ngetattr\n", "torch.storage\n_load_from_bytes\n", "torch\nload\n",
      "numpy.core.multiarray\n_reconstruct\n",
    ] {
      for opcode in ["c", "(i"] {
        let text = message { try Self.run(Self.ascii(opcode + name)) }
        let dotted = name.split(separator: "\n").joined(separator: ".")
        #expect(text.contains("asks for '\(dotted)', which is not part of a state_dict and is not run"), "\(text)")
      }
    }
    #expect(message { try Self.run([0x82, 1]) }.contains("extension registry"))
    let hidden = message { try Self.run(Self.ascii("cos\u{1}\nsystem\r\n")) }
    #expect(hidden.contains("'os?.system?'"), "\(hidden)")
  }

  @Test func nestingIsBounded() {
    // Lists in lists, tuples in tuples, and a chain through the memo, each a million deep.
    let deep = 1_000_000
    let lists = [UInt8](repeating: 0x5D, count: deep) + [UInt8](repeating: 0x61, count: deep - 1)
    #expect(message { try Self.run(lists) }.contains("nested deeper"))
    #expect(message { try Self.run([0x29] + [UInt8](repeating: 0x85, count: deep)) }.contains("nested deeper"))
    let chain = [0x5D, 0x71, 0] + [UInt8]((0..<200_000).flatMap { _ in [0x5D, 0x68, 0, 0x61, 0x71, 0] as [UInt8] })
    #expect(message { try Self.run(chain) }.contains("nested deeper"))
    #expect(message { try Self.run([0x5D, 0x71, 0, 0x68, 0, 0x61]) }.contains("inside itself"))
  }

  @Test func sharedPartsDoNotMultiply() throws {
    // Each list holds the one before twice: 2^60 leaves as a tree, 60 lists in the file.
    var bytes: [UInt8] = [0x5D, 0x71, 0]
    for level in 0..<60 { bytes += [0x5D, 0x68, UInt8(level), 0x61, 0x68, UInt8(level), 0x61, 0x71, UInt8(level + 1)] }
    guard case .list(let top) = try Self.run(bytes), top.count == 2 else {
      Issue.record("not a list of two")
      return
    }
    // A long list copied again and again by a few bytes each time.
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
    #expect(
      message { try PyTorchCheckpoint.decode(FileContents(zipCheckpoint(storage("ComplexFloatStorage")), name: "f")) }
        .contains("'torch.ComplexFloatStorage', which is not supported"))
  }

  @Test func prefixesComeOffOnlyWhereEveryNameHasThem() throws {
    func tensor(_ value: UInt8) throws -> CheckpointValue { .tensor(try StoredTensor(bytes: [value], shape: [1], dtype: .uint8)) }
    func names(_ keys: [String]) throws -> (names: [String], prefix: String) {
      let root = CheckpointValue.dictionary(try keys.map { (.string($0), try tensor(1)) })
      let state = try PyTorchCheckpoint(path: "f", root: root).stateDict()
      return (state.entries.map(\.name), state.prefix)
    }
    #expect(try names(["module.a", "module.b"]) == (["a", "b"], "module."))
    #expect(try names(["module.a", "b"]) == (["module.a", "b"], ""))
    #expect(try names(["module.model.a", "module.model.b.model.c"]) == (["a", "b.model.c"], "module.model."))
    #expect(try names(["model.a", "fc"]) == (["model.a", "fc"], ""))
    #expect(try names(["module."]) == (["module."], ""))
    let mixed = CheckpointValue.dictionary([
      (.string("epoch"), .int(1)), (.string("best_acc"), try tensor(1)),
      (.string("net"), .dictionary([(.string("w"), try tensor(2)), (.string("n"), .none)])),
    ])
    let state = try PyTorchCheckpoint(path: "f", root: mixed).stateDict()
    #expect(state.location == "net" && state.entries.map(\.name) == ["w"] && state.ignored == ["n"])
  }
}
