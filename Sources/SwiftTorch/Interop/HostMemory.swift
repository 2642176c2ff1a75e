import CTorchShim

extension Tensor {
  /// Sizes of the dimensions, outermost first.
  public var shape: [Int] {
    let rank = ndim
    return Array(unsafeUninitializedCapacity: rank) { buffer, initialized in
      buffer.withMemoryRebound(to: Int64.self) { ts_tensor_sizes(handle, $0.baseAddress!) }
      initialized = rank
    }
  }

  /// Steps between neighbours along each dimension, in elements.
  public var strides: [Int] {
    let rank = ndim
    return Array(unsafeUninitializedCapacity: rank) { buffer, initialized in
      buffer.withMemoryRebound(to: Int64.self) { ts_tensor_strides(handle, $0.baseAddress!) }
      initialized = rank
    }
  }

  /// A CPU tensor with a copy of row-major `elements`.
  ///
  /// - Parameters:
  ///   - elements: as many as `shape` holds.
  ///   - shape: nil for one dimension of `elements.count`.
  public convenience init<Element: TensorElement>(_ elements: [Element], shape: [Int]? = nil) {
    let shape = shape ?? [elements.count]
    self.init(owning: elements.withUnsafeBytes { Tensor.make($0, shape: shape, dtype: Element.dtype) })
  }

  /// A CPU tensor with a copy of packed, row-major, little-endian bytes.
  ///
  /// - Parameter bytes: exactly as many as `shape` and `dtype` need.
  public convenience init(bytes: ArraySlice<UInt8>, shape: [Int], dtype: DType) {
    self.init(owning: bytes.withUnsafeBytes { Tensor.make($0, shape: shape, dtype: dtype) })
  }

  /// A CPU tensor with a copy of packed, row-major memory.
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

  /// The elements in row-major order, copied to the host.
  ///
  /// The tensor's dtype must be the element's; convert with `to(_:)` first.
  public func array<Element: TensorElement>(of type: Element.Type = Element.self) -> [Element] {
    require(dtype == Element.dtype, "array(of: \(type)): the tensor is \(dtype), not \(Element.dtype); convert with to(_:)")
    let total = count
    return Array(unsafeUninitializedCapacity: total) { buffer, initialized in
      copyToHost(UnsafeMutableRawBufferPointer(buffer))
      initialized = total
    }
  }

  /// The elements' bytes in row-major order, copied to the host.
  public func hostBytes() -> [UInt8] {
    let total = count * dtype.size
    return Array(unsafeUninitializedCapacity: total) { buffer, initialized in
      copyToHost(UnsafeMutableRawBufferPointer(buffer))
      initialized = total
    }
  }

  /// A number that is equal for tensors of the same shape, dtype and bytes, and differs otherwise but for a chance of one in 2^64.
  ///
  /// Not a cryptographic hash: it tells files and data sets apart, not forgeries.
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

  private func copyToHost(_ buffer: UnsafeMutableRawBufferPointer) {
    guard count > 0 else { return }
    guard ts_tensor_copy_to_host(handle, buffer.baseAddress, count * dtype.size) == TS_OK else {
      fatalError("copy to host of a tensor of shape \(shape): \(lastErrorMessage())")
    }
  }

  /// Gives `body` the elements of a contiguous CPU tensor in place, without a copy; valid only inside `body`.
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
