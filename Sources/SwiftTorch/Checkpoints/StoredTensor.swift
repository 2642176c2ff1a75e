/// The named tensors of a file, in the file's order.
public typealias NamedStoredTensors = [(name: String, tensor: StoredTensor)]

/// A tensor as a file describes it: a typed, strided view of a block of bytes, with checked bounds. The bytes stay in the file
/// until `makeTensor()` reads them.
public struct StoredTensor: Sendable {
  /// A block of bytes that one or more tensors share, as PyTorch's storages are.
  public final class Storage: Sendable {
    enum Origin: Sendable {
      case bytes(ArraySlice<UInt8>)
      /// A part of a file, with its CRC-32 if that is known.
      case file(FileSource, Range<Int>, checksum: UInt32?)
      case deflated(ZipArchive, ZipArchive.Entry)
    }

    let origin: Origin
    /// The number of bytes.
    let count: Int

    init(_ origin: Origin, count: Int) {
      self.origin = origin
      self.count = count
    }

    convenience init(bytes: ArraySlice<UInt8>) { self.init(.bytes(bytes), count: bytes.count) }
  }

  /// The most elements of a view that has more elements than its storage. A broadcast tensor repeats elements with a stride of 0.
  static let maximumRepeatedElements = 1 << 24

  /// The most dimensions that libtorch's operators accept.
  static let maximumDimensions = 64

  public let dtype: DType
  /// The sizes of the dimensions, outermost first.
  public let shape: [Int]
  /// The step between neighbours along each dimension, in elements.
  public let strides: [Int]
  /// The place of the first element in the storage, in elements.
  public let offset: Int
  let storage: Storage
  /// True if the file marks the tensor as a trained parameter.
  public var requiresGrad = false
  /// True if the values are the complex conjugates of the stored ones (PyTorch's lazy `conj`).
  var isConjugate = false
  /// True if the values are the negatives of the stored ones (PyTorch's lazy `imag` of a conjugate).
  var isNegative = false

  /// Makes a row-major tensor of all bytes of `storage`.
  init(packed storage: Storage, shape: [Int], dtype: DType) throws(FormatError) {
    guard shape.count <= Self.maximumDimensions, let count = elementCount(shape) else {
      throw FormatError("a tensor has an impossible shape of \(shape.count) dimensions, \(shape.prefix(8))")
    }
    let size = count.multipliedReportingOverflow(by: dtype.size)
    guard !size.overflow, size.partialValue == storage.count else {
      throw FormatError("\(storage.count) bytes do not make a \(dtype) tensor of shape \(shape)")
    }
    self.dtype = dtype
    self.shape = shape
    strides = Self.rowMajorStrides(shape)
    offset = 0
    self.storage = storage
  }

  /// Makes a view of `storage`. All its elements must lie inside the storage.
  init(storage: Storage, dtype: DType, shape: [Int], strides: [Int], offset: Int) throws(FormatError) {
    let stored = storage.count / dtype.size
    guard shape.count == strides.count, shape.count <= Self.maximumDimensions, offset >= 0,
      strides.allSatisfy({ $0 >= 0 }), let count = elementCount(shape)
    else {
      throw FormatError(
        "a tensor has an impossible shape \(shape.prefix(8)) with strides \(strides.prefix(8)) and offset \(offset)")
    }
    var last = offset
    var fits = true
    if count > 0 {
      for (size, stride) in zip(shape, strides) {
        let (step, overflow) = (size - 1).multipliedReportingOverflow(by: stride)
        let (next, overflowed) = last.addingReportingOverflow(step)
        fits = fits && !overflow && !overflowed
        last = overflow || overflowed ? 0 : next
      }
      fits = fits && last < stored
    } else {
      fits = offset <= stored
    }
    guard fits, count <= stored || count <= Self.maximumRepeatedElements else {
      throw FormatError(
        "a tensor of shape \(shape) with strides \(strides) and offset \(offset) reaches past its \(stored) stored elements")
    }
    self.dtype = dtype
    self.shape = shape
    self.strides = strides
    self.offset = offset
    self.storage = storage
  }

  /// Returns true if both are the same elements of the file in the same order.
  package func isSame(as other: StoredTensor) -> Bool {
    storage === other.storage && offset == other.offset && shape == other.shape && strides == other.strides && dtype == other.dtype
      && isConjugate == other.isConjugate && isNegative == other.isNegative
  }

  /// The number of elements.
  public var count: Int { shape.reduce(1, *) }

  static func rowMajorStrides(_ shape: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: shape.count)
    for dimension in shape.indices.dropLast().reversed() {
      strides[dimension] = strides[dimension + 1] * max(shape[dimension + 1], 1)
    }
    return strides
  }
}
