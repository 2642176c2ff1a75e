import CTorchShim

extension Tensor {
  /// The sizes of the dimensions, outermost first.
  public var shape: [Int] { numberPerDimension(ts_tensor_sizes) }

  /// The step between neighbours along each dimension, in elements.
  public var strides: [Int] { numberPerDimension(ts_tensor_strides) }

  private func numberPerDimension(_ read: (ts_tensor?, UnsafeMutablePointer<Int64>?) -> Void) -> [Int] {
    let rank = ndim
    return Array(unsafeUninitializedCapacity: rank) { buffer, initialized in
      buffer.withMemoryRebound(to: Int64.self) { read(handle, $0.baseAddress!) }
      initialized = rank
    }
  }

  /// Makes a CPU tensor with a copy of `elements` in row-major order. Without a shape, it has one dimension.
  public convenience init<Element: TensorElement>(_ elements: [Element], shape: [Int]? = nil) {
    let shape = shape ?? [elements.count]
    self.init(owning: elements.withUnsafeBytes { Tensor.make($0, shape: shape, dtype: Element.dtype) })
  }

  /// Makes a CPU tensor with a copy of packed, row-major, little-endian bytes. Their number must fit `shape` and `dtype`.
  public convenience init(bytes: ArraySlice<UInt8>, shape: [Int], dtype: DType) {
    self.init(owning: bytes.withUnsafeBytes { Tensor.make($0, shape: shape, dtype: dtype) })
  }

  /// Makes a CPU tensor with a copy of packed, row-major memory.
  package convenience init(copying memory: UnsafeRawBufferPointer, shape: [Int], dtype: DType) {
    self.init(owning: Tensor.make(memory, shape: shape, dtype: dtype))
  }

  private static func make(_ bytes: UnsafeRawBufferPointer, shape: [Int], dtype: DType) -> ts_tensor {
    var out: ts_tensor?
    let status = shape.map(Int64.init).withUnsafeBufferPointer {
      ts_tensor_from_data(bytes.baseAddress, bytes.count, $0.baseAddress, $0.count, dtype.rawValue, &out)
    }
    guard status == TS_OK, let out else { fatalError("Tensor of shape \(shape): \(lastErrorMessage())") }
    return out
  }

  /// Copies the elements to the host in row-major order. The dtype must match the type; `to(_:)` converts it.
  public func array<Element: TensorElement>(of type: Element.Type = Element.self) -> [Element] {
    require(dtype == Element.dtype, "array(of: \(type)): the tensor is \(dtype), not \(Element.dtype); convert with to(_:)")
    return copiedToHost(count)
  }

  /// Copies the elements' bytes to the host in row-major order.
  public func hostBytes() -> [UInt8] { copiedToHost(count * dtype.size) }

  private func copiedToHost<Element: BitwiseCopyable>(_ total: Int) -> [Element] {
    guard total > 0 else { return [] }
    return Array(unsafeUninitializedCapacity: total) { buffer, initialized in
      guard ts_tensor_copy_to_host(handle, buffer.baseAddress, total * MemoryLayout<Element>.stride) == TS_OK else {
        fatalError("copy to host of a tensor of shape \(shape): \(lastErrorMessage())")
      }
      initialized = total
    }
  }

  /// A hash of shape, dtype and bytes that tells data apart, except one pair in 2^64. It cannot detect forgeries.
  public var fingerprint: UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    func mix(_ word: UInt64) {
      hash = (hash ^ word) &* 0x9E37_79B9_7F4A_7C15
      hash ^= hash >> 29
    }
    mix(UInt64(bitPattern: Int64(dtype.rawValue)))
    for size in shape { mix(UInt64(size)) }
    hostBytes().withUnsafeBytes { buffer in
      let words = buffer.count / 8
      for i in 0..<words { mix(buffer.loadUnaligned(fromByteOffset: 8 * i, as: UInt64.self)) }
      for byte in buffer[(8 * words)...] { mix(UInt64(byte)) }
    }
    return hash
  }

  /// Gives `body` the elements of a contiguous CPU tensor without a copy. The span is valid only inside `body`.
  public func withElements<Element: TensorElement, R>(of type: Element.Type, _ body: (Span<Element>) -> R) -> R {
    require(dtype == Element.dtype, "withElements(of: \(type)): the tensor is \(dtype), not \(Element.dtype)")
    return withExtendedLifetime(self) {
      var data: UnsafeMutableRawPointer?
      guard ts_tensor_data(handle, &data) == TS_OK else { fatalError("withElements: \(lastErrorMessage())") }
      let buffer = UnsafeBufferPointer(start: data?.assumingMemoryBound(to: Element.self), count: count)
      return body(buffer.span)
    }
  }
}
