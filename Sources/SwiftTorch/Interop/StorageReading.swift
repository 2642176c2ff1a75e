import CTorchShim

extension StoredTensor.Storage {
  /// Makes a CPU tensor of type uint8 with all bytes. It reads them straight into the tensor's memory.
  func makeTensor() throws(FormatError) -> Tensor {
    let tensor = Tensor.empty([count], dtype: .uint8)
    var data: UnsafeMutableRawPointer?
    guard ts_tensor_data(tensor.handle, &data) == TS_OK else { fatalError("reading a storage: \(lastErrorMessage())") }
    try withExtendedLifetime(tensor) { () throws(FormatError) in
      try read(into: UnsafeMutableRawBufferPointer(start: data, count: count))
    }
    return tensor
  }

  /// Copies all bytes to memory of their size.
  private func read(into buffer: UnsafeMutableRawBufferPointer) throws(FormatError) {
    switch origin {
    case .bytes(let bytes): bytes.withUnsafeBytes { buffer.copyMemory(from: $0) }
    case .deflated(let archive, let entry):
      try archive.contents(of: entry).withUnsafeBytes { buffer.copyMemory(from: $0) }
    case .file(let source, let range, let checksum):
      // Each block is still in the processor's cache when its checksum is computed.
      let block = 1 << 18
      var found: UInt32 = 0
      for start in stride(from: 0, to: range.count, by: block) {
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[start..<min(start + block, range.count)])
        try source.read(range.lowerBound + start..<range.lowerBound + start + part.count, into: part)
        if checksum != nil { found = Inflater.checksum(UnsafeRawBufferPointer(part), after: found) }
      }
      guard checksum.map({ $0 == found }) ?? true else { throw ZipArchive.wrongChecksum("a storage") }
    }
  }
}
