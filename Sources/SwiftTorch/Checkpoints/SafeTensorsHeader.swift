/// The layout of a safetensors file: 8 bytes with the header's length, a JSON header, the tensors' bytes. It needs no libtorch.
///
/// The reader is as strict as the reference implementation. The tensors must cover the data exactly, without gaps or overlaps.
/// Source: the safetensors format of Hugging Face, version 0.x.
struct SafeTensorsHeader {
  /// The longest header in bytes that the reference implementation accepts.
  static let maximumLength = 100_000_000

  /// The element types of the format.
  static let names: [(dtype: DType, name: String)] = [
    (.float64, "F64"), (.float32, "F32"), (.float16, "F16"), (.bfloat16, "BF16"), (.int64, "I64"), (.int32, "I32"),
    (.int16, "I16"), (.int8, "I8"), (.uint8, "U8"), (.bool, "BOOL"), (.uint64, "U64"), (.uint32, "U32"), (.uint16, "U16"),
    (.complex64, "C64"), (.float8e4m3fn, "F8_E4M3"), (.float8e5m2, "F8_E5M2"), (.float8e8m0fnu, "F8_E8M0"),
    (.float8e4m3fnuz, "F8_E4M3FNUZ"), (.float8e5m2fnuz, "F8_E5M2FNUZ"),
  ]

  private struct Info {
    var dtype: String?
    var shape: [Int]?
    var offsets: [Int]?
  }

  /// Reads a file's header and returns its tensors in the header's order, and its metadata.
  static func parse(_ file: FileSource) throws(FormatError) -> (tensors: NamedStoredTensors, metadata: [String: String]) {
    var cursor = ByteCursor(try file.read(0..<min(file.count, 8)), subject: "the safetensors file")
    let length = try cursor.number(8)
    guard length >= 2, length <= UInt64(maximumLength) else {
      throw FormatError(
        "its header declares \(length) bytes; expected 2 to \(maximumLength), so this is not a safetensors file; check the path")
    }
    guard Int(length) <= file.count - 8 else {
      throw FormatError(
        "its header declares \(length) bytes but only \(file.count - 8) follow, so it is cut off; copy or download it again")
    }
    let header = try file.read(8..<8 + Int(length))
    let (infos, metadata) = try scan(header)

    let data = 8 + header.count..<file.count
    let tensors = try infos.map { (name, info) throws(FormatError) in
      (name: name, tensor: try stored(name, info, file, data))
    }
    try checkExtents(infos.compactMap { $0.1.offsets }, of: data.count)
    return (tensors, metadata)
  }

  /// Returns a tensor of the file; `data` is where the file's tensors lie.
  private static func stored(
    _ name: String, _ info: Info, _ file: FileSource, _ data: Range<Int>
  ) throws(FormatError) -> StoredTensor {
    guard let dtype = names.first(where: { $0.name == info.dtype })?.dtype else {
      throw FormatError(
        "tensor \(quoted(name)) has the dtype \(quoted(info.dtype ?? "none")); expected one of "
          + "\(names.map(\.name).joined(separator: ", ")); convert it"
      )
    }
    guard let shape = info.shape, let offsets = info.offsets, offsets.count == 2, offsets[0] <= offsets[1] else {
      throw FormatError("tensor \(quoted(name)) lacks a shape or two ordered data_offsets; copy or download the file again")
    }
    guard offsets[1] <= data.count else {
      throw FormatError(
        "tensor \(quoted(name)) ends at byte \(offsets[1]) of \(data.count), so the file is cut off; copy or download it again")
    }
    let range = data.lowerBound + offsets[0]..<data.lowerBound + offsets[1]
    do {
      return try StoredTensor(packed: .init(.file(file, range, checksum: nil), count: range.count), shape: shape, dtype: dtype)
    } catch {
      throw FormatError("tensor \(quoted(name)): \(error.message); copy or download the file again")
    }
  }

  /// Throws unless the tensors fill the data without a gap and without an overlap, as the format demands.
  private static func checkExtents(_ offsets: [[Int]], of size: Int) throws(FormatError) {
    var end = 0
    for extent in offsets.sorted(by: { ($0[0], $0[1]) < ($1[0], $1[1]) }) {
      guard extent[0] == end else {
        throw FormatError("its tensors overlap or leave a gap at byte \(end) of the data; copy or download it again")
      }
      end = extent[1]
    }
    guard end == size else {
      throw FormatError("its tensors end at byte \(end) but the data has \(size); copy or download it again")
    }
  }

  private static func scan(_ header: [UInt8]) throws(FormatError) -> (infos: [(String, Info)], metadata: [String: String]) {
    var infos: [(String, Info)] = []
    var metadata: [String: String] = [:]
    var seen: Set<String> = []
    var scanner = JSONScanner(header, in: header.indices)
    try scanner.object { scanner, name throws(FormatError) in
      guard seen.insert(name).inserted else { throw FormatError("its header names \(quoted(name)) twice; save the file again") }
      if name == "__metadata__" {
        try scanner.object { scanner, key throws(FormatError) in metadata[key] = try scanner.string() }
        return
      }
      var info = Info()
      try scanner.object { scanner, key throws(FormatError) in
        switch key {
        case "dtype": info.dtype = try scanner.string()
        case "shape": info.shape = try scanner.integers(limit: StoredTensor.maximumDimensions)
        case "data_offsets": info.offsets = try scanner.integers(limit: 2)
        default: throw FormatError("tensor \(quoted(name)) has the unknown field \(quoted(key)) in the header; save the file again")
        }
      }
      infos.append((name, info))
    }
    guard scanner.isAtEnd() else {
      throw FormatError("its header has more bytes after its JSON, at byte \(scanner.position); save the file again")
    }
    return (infos, metadata)
  }

  /// Returns the first bytes of a file of these tensors, and the order in which the tensors' bytes must follow.
  ///
  /// Tensors with larger elements come first, and otherwise the given order stays. Therefore every tensor is aligned; readers that
  /// map the file need this.
  static func encode(
    _ tensors: [(name: String, dtype: DType, shape: [Int])], metadata: [String: String]
  ) -> (bytes: [UInt8], order: [Int]) {
    let order = tensors.indices.sorted { (-tensors[$0].dtype.size, $0) < (-tensors[$1].dtype.size, $1) }
    var members: [String] = []
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key < $1.key }.map { "\(JSONScanner.quote($0.key)):\(JSONScanner.quote($0.value))" }
      members.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
    }
    var offset = 0
    for index in order {
      let (name, dtype, shape) = tensors[index]
      let end = offset + shape.reduce(dtype.size, *)
      let dtypeName = names.first { $0.dtype == dtype }!.name
      let sizes = shape.map(String.init).joined(separator: ",")
      members.append(
        "\(JSONScanner.quote(name)):{\"dtype\":\"\(dtypeName)\",\"shape\":[\(sizes)],\"data_offsets\":[\(offset),\(end)]}")
      offset = end
    }
    var header = Array("{\(members.joined(separator: ","))}".utf8)
    header.append(contentsOf: repeatElement(0x20, count: (8 - header.count % 8) % 8))
    let length = (0..<8).map { UInt8(truncatingIfNeeded: header.count >> ($0 * 8)) }
    return (length + header, order)
  }
}
