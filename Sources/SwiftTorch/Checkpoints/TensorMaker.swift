/// Makes CPU tensors from stored tensors. Tensors that share a storage in the file share memory, as in PyTorch.
package struct TensorMaker {
  /// The storages that more tensors need.
  private var storages: [ObjectIdentifier: Tensor] = [:]
  private var uses: [ObjectIdentifier: Int] = [:]

  /// Prepares to make these tensors, each once.
  package init(_ stored: some Sequence<StoredTensor>) {
    for tensor in stored { uses[ObjectIdentifier(tensor.storage), default: 0] += 1 }
  }

  /// Makes a tensor for each stored tensor, in order.
  ///
  /// - Throws: `TorchError` that names `source` if the file cannot be read or a checksum is wrong.
  static func tensors(_ stored: NamedStoredTensors, source: String) throws(TorchError) -> NamedTensors {
    var maker = TensorMaker(stored.map(\.tensor))
    var made: NamedTensors = []
    for (name, tensor) in stored { made.append((name, try maker.tensor(tensor, source: source))) }
    return made
  }

  /// Makes one of the tensors. It reads a storage for the first tensor and forgets it after the last.
  ///
  /// - Throws: `TorchError` that names `source` if the file cannot be read or a checksum is wrong.
  package mutating func tensor(_ stored: StoredTensor, source: String) throws(TorchError) -> Tensor {
    try naming(source) { () throws(FormatError) in try make(stored) }
  }

  fileprivate mutating func make(_ stored: StoredTensor) throws(FormatError) -> Tensor {
    let identifier = ObjectIdentifier(stored.storage)
    let left = uses[identifier, default: 1] - 1
    var bytes = if let known = storages[identifier] { known } else { try stored.storage.makeTensor() }
    uses[identifier] = left
    storages[identifier] = left > 0 ? bytes : nil
    // Other bytes than 0 and 1 break libtorch's kernels, and Python reads them as true.
    if stored.dtype == .bool, bytes.count > 0, bytes.max().item() > 1 { bytes = bytes.greater(than: 0).to(.uint8) }
    let whole = bytes[0..<bytes.count / stored.dtype.size * stored.dtype.size]
    var tensor = Op.viewDType(.tensor(whole), .dtype(stored.dtype))
      .asStrided(size: stored.shape, stride: stored.strides, offset: stored.offset)
    do {
      if stored.isConjugate { tensor = try Op.conjugate.checked(tensor) }
      if stored.isNegative { tensor = try Op.neg.checked(tensor) }
    } catch { throw FormatError("a \(stored.dtype) tensor has lazy bits that libtorch cannot apply: \(error.message)") }
    return tensor
  }
}

extension StoredTensor {
  /// Makes a CPU tensor with the stored strides and memory of its own.
  ///
  /// - Throws: `TorchError` if the file cannot be read or a checksum is wrong.
  public func makeTensor() throws(TorchError) -> Tensor {
    var maker = TensorMaker(CollectionOfOne(self))
    return try maker.tensor(self, source: "a stored tensor")
  }
}
