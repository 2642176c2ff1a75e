/// A number as an operator's argument, PyTorch's `Scalar`.
public enum Scalar: Sendable, Hashable {
  case bool(Bool)
  case int(Int)
  case double(Double)
}

/// A Swift number that an operator accepts as a scalar.
public protocol ScalarConvertible { var scalar: Scalar { get } }

extension Scalar: ScalarConvertible { public var scalar: Scalar { self } }

extension Bool: ScalarConvertible { public var scalar: Scalar { .bool(self) } }

extension Int: ScalarConvertible { public var scalar: Scalar { .int(self) } }

extension Double: ScalarConvertible { public var scalar: Scalar { .double(self) } }

extension Float: ScalarConvertible { public var scalar: Scalar { .double(Double(self)) } }

/// A Swift type that can be a tensor's element in host memory.
public protocol TensorElement: BitwiseCopyable {
  /// The dtype of a tensor with these elements.
  static var dtype: DType { get }
}

extension Float: TensorElement { public static var dtype: DType { .float32 } }
extension Double: TensorElement { public static var dtype: DType { .float64 } }
extension Float16: TensorElement { public static var dtype: DType { .float16 } }
extension Int: TensorElement { public static var dtype: DType { .int64 } }
extension Int64: TensorElement { public static var dtype: DType { .int64 } }
extension Int32: TensorElement { public static var dtype: DType { .int32 } }
extension Int16: TensorElement { public static var dtype: DType { .int16 } }
extension Int8: TensorElement { public static var dtype: DType { .int8 } }
extension UInt8: TensorElement { public static var dtype: DType { .uint8 } }
extension Bool: TensorElement { public static var dtype: DType { .bool } }

/// The order of a tensor's elements in memory, PyTorch's `memory_format`.
public enum MemoryFormat: Int32, Sendable, Hashable {
  case contiguous = 0
  case preserve = 1
  case channelsLast = 2
}
