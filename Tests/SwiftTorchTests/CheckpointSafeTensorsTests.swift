import Foundation
import Testing

@testable import SwiftTorch

@Suite struct CheckpointSafeTensorsTests {
  /// The file that Python's safetensors 0.8.0 writes for the tensors of `sample`.
  private static let reference: [UInt8] =
    little(UInt64(320))
    + Array(
      (#"{"__metadata__":{"k":"v\n\"é"},"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},"#
        + #""b":{"dtype":"F32","shape":[2,2],"data_offsets":[8,24]},"empty":{"dtype":"F32","shape":[0,3],"data_offsets":[24,24]},"#
        + #""scalar":{"dtype":"F32","shape":[],"data_offsets":[24,28]},"#
        + #""flag":{"dtype":"BOOL","shape":[2],"data_offsets":[28,30]}}"#)
        .utf8)
    + little(Int64(7)) + floats(1, 2, 3, 4) + floats(2.5) + [1, 0]

  private static func floats(_ values: Float...) -> [UInt8] { values.flatMap { little($0.bitPattern) } }

  private static func sample() -> SafeTensors {
    SafeTensors(
      tensors: [
        ("flag", Tensor(bytes: [1, 0], shape: [2], dtype: .bool)),
        ("a", Tensor(bytes: little(Int64(7))[...], shape: [1], dtype: .int64)),
        ("b", Tensor(bytes: floats(1, 2, 3, 4)[...], shape: [2, 2], dtype: .float32)),
        ("empty", Tensor(bytes: [], shape: [0, 3], dtype: .float32)),
        ("scalar", Tensor(bytes: floats(2.5)[...], shape: [], dtype: .float32)),
      ], metadata: ["k": "v\n\"é"])
  }

  @Test func writtenFilesEqualThePythonPackages() throws {
    try withTemporaryFolder { folder in
      try Self.sample().write(to: "\(folder)/a.safetensors")
      #expect(try FileBytes.read("\(folder)/a.safetensors") == Self.reference)
    }
  }

  @Test func thePythonPackagesFilesAreRead() throws {
    let file = try SafeTensors.decode(FileContents(Self.reference, name: "f"))
    #expect(file.metadata == ["k": "v\n\"é"])
    #expect(file.tensors.map(\.name) == ["a", "b", "empty", "scalar", "flag"])
    #expect(file["b"]?.hostBytes() == Self.floats(1, 2, 3, 4) && file["b"]?.shape == [2, 2])
    #expect(
      file["scalar"]?.shape == [] && file["empty"]?.shape == [0, 3] && file["a"]?.dtype == .int64 && file["flag"]?.dtype == .bool)
    #expect(file["none"] == nil)
  }

  @Test func dtypesOutsideTheFormatAreNamed() throws {
    try withTemporaryFolder { folder in
      let tensor = Tensor(bytes: [UInt8](repeating: 0, count: 16)[...], shape: [1], dtype: .complex128)
      let text = message { try SafeTensors(tensors: [("mask", tensor)]).write(to: "\(folder)/m") }
      #expect(text.contains("'mask' has the dtype complex128") && !FileManager.default.fileExists(atPath: "\(folder)/m"))
    }
  }

  @Test func allDTypesAndLayoutsSurvive() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/all.safetensors"
      var file = SafeTensors(
        tensors: SafeTensorsHeader.names.map { dtype, _ in
          let bytes = (0..<6 * dtype.size).map { dtype == .bool ? UInt8($0 % 2) : UInt8($0) }
          return (dtype.description, Tensor(bytes: bytes[...], shape: [2, 3], dtype: dtype))
        })
      let base = Tensor(bytes: Self.floats(0, 1, 2, 3, 4, 5)[...], shape: [2, 3], dtype: .float32)
      file.tensors.append(("transposed", base.asStrided(size: [3, 2], stride: [1, 3], offset: 0)))
      try file.write(to: path)
      let bytes = try FileBytes.read(path)
      let (stored, metadata) = try SafeTensorsHeader.parse(bytes)
      #expect(metadata.isEmpty && stored.count == SafeTensorsHeader.names.count + 1)
      // Readers that map the file need alignment.
      let data = 8 + bytes[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
      #expect(data % 8 == 0)
      for (name, tensor) in stored {
        guard case .file(_, let range, _) = tensor.storage.origin else {
          Issue.record("\(name) is not in the file")
          continue
        }
        #expect(range.lowerBound % tensor.dtype.size == 0, "\(name)")
        #expect(try tensor.packedBytes() == file[name]?.hostBytes(), "\(name)")
      }
      #expect(try stored.last { $0.name == "transposed" }?.tensor.packedBytes() == Self.floats(0, 3, 1, 4, 2, 5))
    }
  }

  @Test func doubleOrReservedNamesAreRefusedBeforeWriting() throws {
    try withTemporaryFolder { folder in
      var file = Self.sample()
      file.tensors.append(file.tensors[0])
      #expect(message { try file.write(to: "\(folder)/x") }.contains("'flag' is used twice"))
      file.tensors = [("__metadata__", file.tensors[0].tensor)]
      #expect(message { try file.write(to: "\(folder)/x") }.contains("reserved"))
      let left = try FileManager.default.contentsOfDirectory(atPath: folder)
      #expect(left.isEmpty)
    }
  }

  @Test func everyCutIsNoticed() {
    for length in 0..<Self.reference.count {
      let text = message { try SafeTensorsHeader.parse(Array(Self.reference.prefix(length))) }
      #expect(text.contains("cut off"), "\(length) bytes: \(text)")
    }
  }

  private static func problem(_ header: String, data: Int = 0) -> String {
    message {
      try SafeTensorsHeader.parse(little(UInt64(header.utf8.count)) + Array(header.utf8) + [UInt8](repeating: 0, count: data))
    }
  }

  @Test func lyingHeadersAreRefused() {
    let entry = #""dtype":"F32","shape":[1],"data_offsets":"#
    #expect(Self.problem(#"{"a":{\#(entry)[0,4]},"a":{\#(entry)[4,8]}}"#, data: 8).contains("'a' twice"))
    #expect(Self.problem(#"{"a":{\#(entry)[0,4]},"b":{\#(entry)[2,6]}}"#, data: 6).contains("overlap or leave a gap at byte 4"))
    #expect(Self.problem(#"{"a":{\#(entry)[4,8]}}"#, data: 8).contains("gap at byte 0"))
    #expect(Self.problem(#"{"a":{\#(entry)[0,4]}}"#, data: 8).contains("end at byte 4 but the data has 8"))
    #expect(Self.problem(#"{"a":{\#(entry)[0,8]}}"#, data: 8).contains("8 bytes do not make a float32 tensor of shape [1]"))
    #expect(Self.problem(#"{"a":{\#(entry)[4,0]}}"#, data: 4).contains("ordered data_offsets"))
    #expect(Self.problem(#"{"a":{\#(entry)[0,4000000000000000000]}}"#, data: 4).contains("cut off"))
    #expect(Self.problem(#"{"a":{\#(entry)[0,99999999999999999999]}}"#, data: 4).contains("too large"))
    #expect(
      Self.problem(#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,0]}}"#).contains(
        "impossible shape"))
    #expect(
      Self.problem(#"{"a":{"dtype":"F6_E2M3","shape":[1],"data_offsets":[0,1]}}"#, data: 1).contains(
        "dtype 'F6_E2M3'; expected one of F64"))
    #expect(
      Self.problem(#"{"a":{"dtype":"U8","shape":[\#(String(repeating: "1,", count: 70))1],"data_offsets":[0,1]}}"#, data: 1)
        .contains("more than 64"))
    #expect(Self.problem(#"{"a":{\#(entry)[0,4],"x":1}}"#, data: 4).contains("unknown field 'x'"))
    for wrong in [
      "{ ", "{}x", "[]", #"{"a":1}"#, #"{"a":{"shape":[-1]}}"#, #"{"a":{"shape":[1.5]}}"#, #"{"a":{"shape":[01]}}"#,
      #"{"\ud800":{}}"#, "{\"a\nb\":{}}",
    ] {
      let text = Self.problem(wrong)
      #expect(
        text.contains("the JSON header is wrong") || text.contains("has more bytes after its JSON") || text.contains("cut off"),
        "\(wrong): \(text)"
      )
    }
    #expect(message { try SafeTensorsHeader.parse(little(UInt64.max) + [1]) }.contains("not a safetensors file"))
    #expect(message { try SafeTensorsHeader.parse(little(UInt64(99_000_000)) + [1]) }.contains("only 1 follow"))
  }

  @Test func escapedTextIsRead() throws {
    let header = #"{"__metadata__":{"\u0041\ud83d\ude00\/\\":"\b\f\t\r\u000a"}}"#
    let bytes = little(UInt64(header.utf8.count)) + Array(header.utf8)
    #expect(try SafeTensorsHeader.parse(bytes).metadata == ["A😀/\\": "\u{8}\u{C}\t\r\n"])
    let (written, _) = SafeTensorsHeader.encode([], metadata: ["A😀/\\\u{1}": "\u{8}\u{C}\t\r\n\""])
    #expect(try SafeTensorsHeader.parse(written).metadata == ["A😀/\\\u{1}": "\u{8}\u{C}\t\r\n\""])
  }
}
