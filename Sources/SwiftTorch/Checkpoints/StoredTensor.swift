/// Tensors of a file with their names, in the file's order.
public typealias NamedStoredTensors = [(name: String, tensor: StoredTensor)]

/// A tensor as a file describes it: a typed, strided view of a block of bytes. Its bounds have been checked.
public struct StoredTensor: Sendable {
  /// A block of bytes that one or more tensors share, as PyTorch's storages do.
  public final class Storage: Sendable {
    /// Packed little-endian elements.
    public let bytes: ArraySlice<UInt8>

    public init(bytes: ArraySlice<UInt8>) {
      self.bytes = bytes
    }
  }

  /// The most elements a view may have beyond those stored (a broadcast tensor repeats elements with a stride of 0).
  static let maximumRepeatedElements = 1 << 24

  /// The most dimensions libtorch's operators accept.
  static let maximumDimensions = 64

  public let dtype: DType
  public let shape: [Int]
  /// Steps between neighbours, in elements, one a dimension.
  public let strides: [Int]
  /// The first element's place in the storage, in elements.
  public let offset: Int
  public let storage: Storage
  /// Whether the file marks it as a parameter to be trained.
  public let requiresGrad: Bool

  /// A packed row-major tensor over all of `bytes`.
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

  /// A view of `storage`; every element it reaches must lie within it.
  init(
    storage: Storage, dtype: DType, shape: [Int], strides: [Int], offset: Int, requiresGrad: Bool
  ) throws(FormatError) {
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

  /// Whether the elements lie packed in row-major order.
  public var isContiguous: Bool {
    var expected = 1
    for (size, stride) in zip(shape, strides).reversed() where size != 1 {
      if size == 0 { return true }
      if stride != expected { return false }
      expected *= size
    }
    return true
  }

  /// The elements in packed row-major order, little-endian.
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
        // Wrapping: a dimension of size 1 may have any stride, which is added and taken back.
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
