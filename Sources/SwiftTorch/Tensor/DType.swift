/// The element type of a tensor. The raw values are those of libtorch's `c10::ScalarType`, and all of its types are here.
///
/// Operators compute with the floating-point types, the whole numbers, `bool` and the complex types. The quantized types, the bit
/// types and the narrow whole numbers only occur in files and in TorchScript archives.
public enum DType: Int32, Sendable, Hashable, CaseIterable, CustomStringConvertible {
  case uint8, int8, int16, int32, int64, float16, float32, float64
  case complex32, complex64, complex128
  case bool
  case qint8, quint8, qint32
  case bfloat16
  case quint4x2, quint2x4, bits1x8, bits2x4, bits4x2, bits8, bits16
  case float8e5m2, float8e4m3fn, float8e5m2fnuz, float8e4m3fnuz
  case uint16, uint32, uint64
  case uint1, uint2, uint3, uint4, uint5, uint6, uint7
  case int1, int2, int3, int4, int5, int6, int7
  case float8e8m0fnu, float4e2m1fnx2

  /// PyTorch's names and the sizes in bytes, in the order of the raw values.
  private static let facts: [(name: String, size: Int)] = [
    ("uint8", 1), ("int8", 1), ("int16", 2), ("int32", 4), ("int64", 8), ("float16", 2), ("float32", 4), ("float64", 8),
    ("complex32", 4), ("complex64", 8), ("complex128", 16), ("bool", 1), ("qint8", 1), ("quint8", 1), ("qint32", 4),
    ("bfloat16", 2), ("quint4x2", 1), ("quint2x4", 1), ("bits1x8", 1), ("bits2x4", 1), ("bits4x2", 1), ("bits8", 1),
    ("bits16", 2), ("float8_e5m2", 1), ("float8_e4m3fn", 1), ("float8_e5m2fnuz", 1), ("float8_e4m3fnuz", 1), ("uint16", 2),
    ("uint32", 4), ("uint64", 8), ("uint1", 1), ("uint2", 1), ("uint3", 1), ("uint4", 1), ("uint5", 1), ("uint6", 1),
    ("uint7", 1), ("int1", 1), ("int2", 1), ("int3", 1), ("int4", 1), ("int5", 1), ("int6", 1), ("int7", 1),
    ("float8_e8m0fnu", 1), ("float4_e2m1fn_x2", 1),
  ]

  private static let named = Dictionary(uniqueKeysWithValues: allCases.map { ($0.description, $0) })

  /// Finds a type by PyTorch's name without `torch.`, or returns nil.
  init?(named name: String) {
    guard let found = Self.named[name] else { return nil }
    self = found
  }

  /// The size of one element in bytes.
  public var size: Int { Self.facts[Int(rawValue)].size }

  /// PyTorch's name without `torch.` ("float32").
  public var description: String { Self.facts[Int(rawValue)].name }

  /// True for real floating-point numbers (`torch.dtype.is_floating_point`).
  public var isFloatingPoint: Bool {
    switch self {
    case .float16, .bfloat16, .float32, .float64, .float8e5m2, .float8e4m3fn, .float8e5m2fnuz, .float8e4m3fnuz,
      .float8e8m0fnu, .float4e2m1fnx2:
      true
    default: false
    }
  }

  /// True for complex numbers (`torch.dtype.is_complex`).
  public var isComplex: Bool { 8...10 ~= rawValue }

  /// True for whole numbers that operators compute with, without `bool`.
  public var isInteger: Bool { 0...4 ~= rawValue || 27...29 ~= rawValue }

  /// True for whole numbers with a scale, which stand for real numbers.
  public var isQuantized: Bool { 12...14 ~= rawValue || 16...17 ~= rawValue }
}
