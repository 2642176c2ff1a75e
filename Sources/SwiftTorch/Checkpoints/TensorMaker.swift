/// Makes CPU tensors from stored ones; tensors that share a storage in the file share memory here, as in PyTorch.
struct TensorMaker {
  private var storages: [ObjectIdentifier: Tensor] = [:]

  /// Tensors for all of `stored`, in order.
  static func tensors(_ stored: NamedStoredTensors) -> NamedTensors {
    var uses: [ObjectIdentifier: Int] = [:]
    for (_, tensor) in stored { uses[ObjectIdentifier(tensor.storage), default: 0] += 1 }
    var maker = TensorMaker()
    return stored.map { name, tensor in
      (name, maker.tensor(tensor, isShared: uses[ObjectIdentifier(tensor.storage)]! > 1))
    }
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

  /// Booleans other than 0 and 1 break libtorch's kernels; Python reads any other byte as true.
  private func sanitized(_ bytes: ArraySlice<UInt8>, _ dtype: DType) -> ArraySlice<UInt8> {
    guard dtype == .bool, bytes.contains(where: { $0 > 1 }) else { return bytes }
    return bytes.map { $0 == 0 ? 0 : 1 }[...]
  }
}

extension StoredTensor {
  /// A CPU tensor with memory of its own and the stored strides.
  public func makeTensor() -> Tensor {
    var maker = TensorMaker()
    return maker.tensor(self, isShared: false)
  }
}
