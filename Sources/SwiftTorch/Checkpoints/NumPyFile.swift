/// A reader of NumPy's files: `.npy` with one array, and `.npz`, a zip archive of several arrays.
///
/// It refuses arrays of Python objects, because they are pickles. Source: `numpy.lib.format`, versions 1 to 3.
public enum NumPyFile {
  /// Reads the array of an `.npy` file.
  ///
  /// - Throws: `TorchError` that names `path` if the array is cut off or has an element type without a dtype.
  public static func readArray(_ path: String) throws(TorchError) -> StoredTensor {
    let bytes = try FileBytes.read(path, expecting: "a NumPy array")
    return try naming(path) { () throws(FormatError) in try decodeArray(bytes) }
  }

  /// Reads arrays of an `.npz` file by name, in the archive's order.
  ///
  /// - Parameter path: the path of the file.
  /// - Parameter names: the names of the arrays, without `.npy`; nil for all. The reader does not unpack other arrays.
  /// - Throws: `TorchError` that names `path` and the missing or damaged array.
  public static func readArchive(_ path: String, names: Set<String>? = nil) throws(TorchError) -> NamedStoredTensors {
    try decodeArchive(try FileContents.read(path, expecting: "a NumPy archive"), names: names)
  }

  /// Returns the names of the arrays in an `.npz` file, without `.npy`, in the archive's order.
  public static func names(in file: FileContents) throws(TorchError) -> [String] {
    try naming(file.name) { () throws(FormatError) in
      try file.archive().entries.map(\.name).filter { $0.hasSuffix(".npy") }.map { String($0.dropLast(4)) }
    }
  }

  /// Reads arrays from the contents of an `.npz` file, as `readArchive` does.
  public static func decodeArchive(_ file: FileContents, names: Set<String>? = nil) throws(TorchError) -> NamedStoredTensors {
    try naming(file.name) { () throws(FormatError) in try arrays(of: file.archive(), names: names) }
  }

  private static func arrays(of archive: ZipArchive, names: Set<String>?) throws(FormatError) -> NamedStoredTensors {
    var arrays: NamedStoredTensors = []
    for entry in archive.entries where entry.name.hasSuffix(".npy") {
      let name = String(entry.name.dropLast(4))
      guard names?.contains(name) ?? true else { continue }
      let contents = try archive.contents(of: entry)
      do {
        arrays.append((name, try decodeArray(contents)))
      } catch { throw FormatError("array \(quoted(name)): \(error.message)") }
    }
    if let missing = names?.subtracting(arrays.map(\.name)).sorted().first {
      let found = archive.entries.prefix(8).map { quoted($0.name) }.joined(separator: ", ")
      throw FormatError(
        "holds no array \(quoted(missing)); it has \(found.isEmpty ? "no entries" : found); "
          + "save the array with numpy.savez(path, \(missing)=…)")
    }
    return arrays
  }

  static func decodeArray(_ bytes: [UInt8]) throws(FormatError) -> StoredTensor {
    var cursor = ByteCursor(bytes, subject: "the NumPy array")
    guard bytes[try cursor.take(6)].elementsEqual([0x93] + Array("NUMPY".utf8)) else {
      throw FormatError("does not begin as NumPy arrays do; save it with numpy.save or numpy.savez")
    }
    let version = try cursor.byte()
    _ = try cursor.byte()
    guard 1...3 ~= version else {
      throw FormatError("has format version \(version); expected 1 to 3; save it with a current NumPy")
    }
    let header = try cursor.take(try cursor.size(version == 1 ? 2 : 4))
    let (descriptor, isFortran, shape) = try NumPyHeader.parse(bytes, in: header)
    return try array(bytes[try cursor.take(cursor.remaining)], descriptor, shape: shape, isFortran: isFortran)
  }

  /// Makes an array of elements in row-major order, or column-major order for `isFortran`.
  ///
  /// `descriptor` is NumPy's name of the element type with the order of bytes in front, such as "<f4". Big-endian elements are
  /// turned around.
  static func array(
    _ elements: ArraySlice<UInt8>, _ descriptor: String, shape: [Int], isFortran: Bool
  ) throws(FormatError) -> StoredTensor {
    let isBigEndian = descriptor.hasPrefix(">")
    guard let dtype = dtypes[isBigEndian ? "<" + descriptor.dropFirst() : descriptor] else {
      throw FormatError(
        "has the element type \(quoted(descriptor)); expected \(dtypes.keys.sorted().joined(separator: ", ")), or big-endian "
          + "numbers; convert it with .astype")
    }
    // A complex number has two parts.
    let width = dtype == .complex64 || dtype == .complex128 ? dtype.size / 2 : dtype.size
    let elements = isBigEndian && width > 1 ? turnedAround(elements, width: width) : elements
    let data = StoredTensor.Storage(bytes: elements)
    let packed: StoredTensor
    do {
      packed = try StoredTensor(packed: data, shape: shape, dtype: dtype)
    } catch {
      throw FormatError("\(error.message), so it is cut off or damaged; copy or download it again")
    }
    guard isFortran else { return packed }
    let strides = Array(StoredTensor.rowMajorStrides(shape.reversed()).reversed())
    return try StoredTensor(storage: data, dtype: dtype, shape: shape, strides: strides, offset: 0)
  }

  /// Reverses the bytes of each element.
  private static func turnedAround(_ elements: ArraySlice<UInt8>, width: Int) -> ArraySlice<UInt8> {
    var turned = Array(elements)
    for start in stride(from: 0, through: turned.count - width, by: width) {
      for i in 0..<width / 2 { turned.swapAt(start + i, start + width - 1 - i) }
    }
    return turned[...]
  }

  private static let dtypes: [String: DType] = [
    "|u1": .uint8, "<u1": .uint8, "|i1": .int8, "<i1": .int8, "<i2": .int16, "<i4": .int32, "<i8": .int64,
    "<u2": .uint16, "<u4": .uint32, "<u8": .uint64, "<c8": .complex64, "<c16": .complex128, "<f2": .float16,
    "<f4": .float32, "<f8": .float64, "|b1": .bool,
  ]
}

/// A parser of the Python dictionary in an `.npy` header: `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
private struct NumPyHeader {
  private let bytes: [UInt8]
  private let range: Range<Int>
  private var position: Int

  static func parse(_ bytes: [UInt8], in range: Range<Int>) throws(FormatError) -> (
    descriptor: String, isFortran: Bool, shape: [Int]
  ) {
    var header = NumPyHeader(bytes: bytes, range: range, position: range.lowerBound)
    var descriptor: String?
    var isFortran: Bool?
    var shape: [Int]?
    try header.expect("{")
    while !header.takes("}") {
      let key = try header.string()
      try header.expect(":")
      switch key {
      case "descr":
        guard header.next == UInt8(ascii: "'") || header.next == UInt8(ascii: "\"") else {
          throw FormatError("is a structured array; expected plain numbers; save one field at a time")
        }
        descriptor = try header.string()
      case "fortran_order": isFortran = try header.boolean()
      case "shape": shape = try header.tuple()
      default: throw header.failure
      }
      if !header.takes(",") {
        try header.expect("}")
        break
      }
    }
    guard let descriptor, let isFortran, let shape else { throw header.failure }
    return (descriptor, isFortran, shape)
  }

  private var failure: FormatError { FormatError("has a NumPy header that cannot be read; save it with numpy.save or numpy.savez") }

  private var next: UInt8? {
    mutating get {
      while position < range.upperBound, bytes[position] == 0x20 || bytes[position] == 0x0A { position += 1 }
      return position < range.upperBound ? bytes[position] : nil
    }
  }

  private mutating func takes(_ character: Unicode.Scalar) -> Bool {
    guard next == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  private mutating func expect(_ character: Unicode.Scalar) throws(FormatError) { guard takes(character) else { throw failure } }

  private mutating func string() throws(FormatError) -> String {
    guard let quote = next, quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"") else { throw failure }
    let start = position + 1
    guard let end = bytes[start..<range.upperBound].firstIndex(of: quote) else { throw failure }
    position = end + 1
    return String(decoding: bytes[start..<end], as: UTF8.self)
  }

  private mutating func boolean() throws(FormatError) -> Bool {
    _ = next
    for (text, value) in [("True", true), ("False", false)] where bytes[position..<range.upperBound].starts(with: text.utf8) {
      position += text.utf8.count
      return value
    }
    throw failure
  }

  private mutating func tuple() throws(FormatError) -> [Int] {
    var sizes: [Int] = []
    try expect("(")
    while !takes(")") {
      var size = 0
      var digits = 0
      _ = next
      while position < range.upperBound, case let digit = bytes[position], 0x30...0x39 ~= digit {
        let (product, overflow) = size.multipliedReportingOverflow(by: 10)
        let (sum, overflowed) = product.addingReportingOverflow(Int(digit) - 0x30)
        guard !overflow, !overflowed else { throw failure }
        size = sum
        digits += 1
        position += 1
      }
      guard digits > 0, sizes.count < StoredTensor.maximumDimensions else { throw failure }
      _ = takes("L")  // Python 2 wrote long integers with an L.
      sizes.append(size)
      if !takes(",") {
        try expect(")")
        break
      }
    }
    return sizes
  }
}
