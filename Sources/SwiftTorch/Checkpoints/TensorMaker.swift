/// Makes CPU tensors from stored tensors. Tensors that share a storage in the file share memory, as in PyTorch.
struct TensorMaker {
  private var storages: [ObjectIdentifier: Tensor] = [:]

  /// Makes a tensor for each stored tensor, in order.
  static func tensors(_ stored: NamedStoredTensors) -> NamedTensors {
    var uses: [ObjectIdentifier: Int] = [:]
    for (_, tensor) in stored { uses[ObjectIdentifier(tensor.storage), default: 0] += 1 }
    var maker = TensorMaker()
    return stored.map { name, tensor in (name, maker.tensor(tensor, isShared: uses[ObjectIdentifier(tensor.storage)]! > 1)) }
  }

  mutating func tensor(_ stored: StoredTensor, isShared: Bool) -> Tensor {
    if stored.isContiguous && !isShared {
      return Tensor(bytes: sanitized(stored.packedBytes()[...], stored.dtype), shape: stored.shape, dtype: stored.dtype)
    }
    let identifier = ObjectIdentifier(stored.storage)
    let base: Tensor
    if let known = storages[identifier], known.dtype == stored.dtype {
      base = known
    } else {
      let count = stored.storage.bytes.count / stored.dtype.size
      let bytes = stored.storage.bytes.prefix(count * stored.dtype.size)
      base = Tensor(bytes: sanitized(bytes, stored.dtype), shape: [count], dtype: stored.dtype)
      storages[identifier] = base
    }
    return base.asStrided(size: stored.shape, stride: stored.strides, offset: stored.offset)
  }

  /// Turns the bytes of booleans into 0 and 1. Other bytes break libtorch's kernels, and Python reads them as true.
  private func sanitized(_ bytes: ArraySlice<UInt8>, _ dtype: DType) -> ArraySlice<UInt8> {
    guard dtype == .bool, bytes.contains(where: { $0 > 1 }) else { return bytes }
    return bytes.map { $0 == 0 ? 0 : 1 }[...]
  }
}

extension StoredTensor {
  /// Makes a CPU tensor with its own memory and the stored strides.
  public func makeTensor() -> Tensor {
    var maker = TensorMaker()
    return maker.tensor(self, isShared: false)
  }
}
