/// The named tensors of a file, in the file's order.
public typealias NamedStoredTensors = [(name: String, tensor: StoredTensor)]

/// A tensor as a file describes it: a typed, strided view of a block of bytes, with checked bounds.
public struct StoredTensor: Sendable {
  /// A block of bytes that one or more tensors share, as PyTorch's storages are.
  public final class Storage: Sendable {
    /// Packed little-endian elements.
    public let bytes: ArraySlice<UInt8>

    public init(bytes: ArraySlice<UInt8>) { self.bytes = bytes }
  }

  /// The most elements of a view that has more elements than its storage. A broadcast tensor repeats elements with a stride of 0.
  static let maximumRepeatedElements = 1 << 24

  /// The most dimensions that libtorch's operators accept.
  static let maximumDimensions = 64

  public let dtype: DType
  public let shape: [Int]
  /// The step between neighbours along each dimension, in elements.
  public let strides: [Int]
  /// The place of the first element in the storage, in elements.
  public let offset: Int
  public let storage: Storage
  /// True if the file marks the tensor as a trained parameter.
  public let requiresGrad: Bool

  /// Makes a packed row-major tensor of all `bytes`.
  init(bytes: ArraySlice<UInt8>, shape: [Int], dtype: DType) throws(FormatError) {
    guard shape.count <= Self.maximumDimensions, let count = elementCount(shape) else {
      throw FormatError("a tensor has an impossible shape of \(shape.count) dimensions, \(shape.prefix(8))")
    }
    let size = count.multipliedReportingOverflow(by: dtype.size)
    guard !size.overflow, size.partialValue == bytes.count else {
      throw FormatError("\(bytes.count) bytes do not make a \(dtype) tensor of shape \(shape)")
    }
    self.dtype = dtype
    self.shape = shape
    strides = Self.rowMajorStrides(shape)
    offset = 0
    storage = Storage(bytes: bytes)
    requiresGrad = false
  }

  /// Makes a view of `storage`. All its elements must lie inside the storage.
  init(storage: Storage, dtype: DType, shape: [Int], strides: [Int], offset: Int, requiresGrad: Bool) throws(FormatError) {
    let stored = storage.bytes.count / dtype.size
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
    self.requiresGrad = requiresGrad
  }

  /// The number of elements.
  public var count: Int { shape.reduce(1, *) }

  /// True if the elements are packed in row-major order.
  public var isContiguous: Bool {
    var expected = 1
    for (size, stride) in zip(shape, strides).reversed() where size != 1 {
      if size == 0 { return true }
      if stride != expected { return false }
      expected *= size
    }
    return true
  }

  /// Returns the elements packed in row-major order, little-endian.
  public func packedBytes() -> [UInt8] {
    let width = dtype.size
    let start = storage.bytes.startIndex
    if isContiguous {
      let first = count == 0 ? start : start + offset * width
      return Array(storage.bytes[first..<first + count * width])
    }
    var result: [UInt8] = []
    result.reserveCapacity(count * width)
    var index = [Int](repeating: 0, count: shape.count)
    var element = offset
    for _ in 0..<count {
      result.append(contentsOf: storage.bytes[start + element * width..<start + (element + 1) * width])
      for dimension in shape.indices.reversed() {
        index[dimension] += 1
        // A dimension of size 1 may have any stride, so the sum may wrap. The subtraction below undoes it.
        element &+= strides[dimension]
        if index[dimension] < shape[dimension] { break }
        element &-= strides[dimension] &* shape[dimension]
        index[dimension] = 0
      }
    }
    return result
  }

  static func rowMajorStrides(_ shape: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: shape.count)
    for dimension in shape.indices.dropLast().reversed() {
      strides[dimension] = strides[dimension + 1] * max(shape[dimension + 1], 1)
    }
    return strides
  }
}
