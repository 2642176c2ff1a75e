import Testing

@testable import SwiftTorch

@Suite struct CheckpointNumPyTests {
  /// Makes an array file by the format's description: a header padded to 64 bytes, then the data.
  static func array(_ header: String, _ data: [UInt8], version: UInt8 = 1) -> [UInt8] {
    let prefix = [0x93] + Array("NUMPY".utf8) + [version, 0]
    var text = Array(header.utf8)
    let lengthSize = version == 1 ? 2 : 4
    text += [UInt8](repeating: 0x20, count: 63 - (prefix.count + lengthSize + text.count) % 64) + [0x0A]
    return prefix + (version == 1 ? little(UInt16(text.count)) : little(UInt32(text.count))) + text + data
  }

  private static let expected = CheckpointFixtureTests.expected.filter { $0.name.hasPrefix("npz/") }

  @Test func archivesOfNumPyAreRead() throws {
    func wanted(_ name: String) throws -> StoredTensor { try #require(Self.expected.first { $0.name == "npz/\(name)" }?.tensor) }
    for (file, images, labels) in [
      ("bytes", "bytes", "bytes-labels"), ("bytes-compressed", "bytes", "bytes-labels"),
      ("floats-compressed", "floats", "floats-labels"),
      ("column-order", "floats", nil), ("float64", nil, nil),
    ] {
      let arrays = try NumPyFile.readArchive(fixture("\(file).npz"))
      #expect(arrays.map(\.name) == ["images", "labels"])
      if let images {
        #expect(try arrays[0].tensor.packedBytes() == wanted(images).packedBytes(), "\(file)")
        #expect(try arrays[0].tensor.shape == wanted(images).shape && arrays[0].tensor.dtype == wanted(images).dtype, "\(file)")
        #expect(try arrays[0].tensor.makeTensor().hostBytes() == wanted(images).packedBytes(), "\(file)")
      }
      if let labels { #expect(try arrays[1].tensor.packedBytes() == wanted(labels).packedBytes(), "\(file)") }
    }
    let doubles = try NumPyFile.readArchive(fixture("float64.npz"), names: ["images"])
    #expect(doubles.count == 1 && doubles[0].tensor.dtype == .float64)
    #expect(try NumPyFile.readArchive(fixture("column-order.npz"))[0].tensor.makeTensor().isContiguous() == false)
  }

  @Test func missingAndObjectArraysAreNamed() {
    #expect(
      message { try NumPyFile.readArchive(fixture("bytes.npz"), names: ["images", "targets"]) }
        .contains("holds no array 'targets'; it has 'images.npy', 'labels.npy'"))
    #expect(message { try NumPyFile.readArchive(fixture("objects.npz")) }.contains("array 'images': has the element type '|O'"))
    // The reader does not touch other arrays.
    #expect(throws: Never.self) { try NumPyFile.readArchive(fixture("objects.npz"), names: ["labels"]) }
    #expect(message { try NumPyFile.readArray(fixture("bytes.npz")) }.contains("does not begin as NumPy arrays do"))
  }

  @Test func headersOfAllVersions() throws {
    for version in 1...3 as ClosedRange<UInt8> {
      let file = Self.array(
        "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }", [1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0], version: version)
      let tensor = try NumPyFile.decodeArray(file)
      #expect(tensor.shape == [2, 3] && tensor.strides == [1, 2] && tensor.dtype == .int16)
      #expect(try tensor.packedBytes() == [1, 0, 3, 0, 5, 0, 2, 0, 4, 0, 6, 0])
    }
    #expect(try NumPyFile.decodeArray(Self.array("{'descr':'|u1','fortran_order':False,'shape':()}", [9])).shape == [])
    #expect(
      try NumPyFile.decodeArray(Self.array("{\"shape\": (2L,), 'descr': '|b1', 'fortran_order': False}", [1, 0])).shape == [2])
  }

  @Test func bigEndianElementsAreTurnedAround() throws {
    func values(_ type: String, _ data: [UInt8]) throws -> Tensor {
      try NumPyFile.decodeArray(Self.array("{'descr': '\(type)', 'fortran_order': False, 'shape': (2,)}", data)).makeTensor()
    }
    #expect(try values(">i2", [1, 2, 0xFF, 0xFE]).array(of: Int16.self) == [258, -2])
    #expect(try values(">f4", [0x3F, 0x80, 0, 0, 0xC0, 0, 0, 0]).array(of: Float.self) == [1, -2])
    #expect(try values(">u8", [0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 7]).to(.int64).array(of: Int.self) == [256, 7])
    #expect(try values(">u1", [3, 4]).array(of: UInt8.self) == [3, 4])
  }

  @Test func wrongHeadersAreRefused() {
    func problem(_ header: String, _ data: [UInt8] = []) -> String {
      message { try NumPyFile.decodeArray(Self.array(header, data)) }
    }
    #expect(
      problem("{'descr': '<U4', 'fortran_order': False, 'shape': (1,)}", [0, 0, 0, 0]).contains("element type '<U4'; expected"))
    #expect(problem("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}").contains("structured array"))
    #expect(
      problem("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", [0, 0, 0, 0]).contains(
        "4 bytes do not make a float32 tensor of shape [2]"))
    #expect(problem("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", [0, 0, 0, 0, 0]).contains("5 bytes do not make"))
    #expect(problem("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,4)}").contains("impossible shape"))
    #expect(problem("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}").contains("cannot be read"))
    for header in [
      "{'descr': '<f4', 'shape': (1,)}", "{'descr': '<f4'", "{'other': 1}", "{'descr': '<f4', 'fortran_order': No}",
      "{'shape': (1 2)}", "{'shape': (-1,)}", "",
    ] {
      #expect(problem(header).contains("cannot be read"), "\(header)")
    }
    var future = Self.array("{}", [])
    future[6] = 9
    #expect(message { try NumPyFile.decodeArray(future) }.contains("format version 9"))
  }
}
