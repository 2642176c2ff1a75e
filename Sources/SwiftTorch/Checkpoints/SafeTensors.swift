/// The named tensors and text of a safetensors file, this project's own checkpoint format.
///
/// In PyTorch, `safetensors.torch.load_file` and `save_file` read and write the same files.
public struct SafeTensors {
  /// The named tensors. A written file keeps this order among tensors with the same element size.
  public var tensors: NamedTensors
  /// Free text by key. The file stores it under `__metadata__`.
  public var metadata: [String: String]

  public init(tensors: NamedTensors, metadata: [String: String] = [:]) {
    self.tensors = tensors
    self.metadata = metadata
  }

  /// The tensor with this name, or nil.
  public subscript(_ name: String) -> Tensor? { tensors.first { $0.name == name }?.tensor }

  /// Reads a file into CPU tensors.
  ///
  /// - Throws: `TorchError` that names `path` if data are cut off, overlap or are missing, a dtype is unknown, or the JSON is
  ///   wrong.
  public static func read(_ path: String) throws(TorchError) -> SafeTensors {
    try decode(try FileContents.read(path, expecting: "a safetensors file"))
  }

  /// Reads CPU tensors from a file's contents.
  public static func decode(_ file: FileContents) throws(TorchError) -> SafeTensors {
    let (stored, metadata) = try stored(in: file)
    return SafeTensors(tensors: try TensorMaker.tensors(stored, source: file.name), metadata: metadata)
  }

  /// Returns the tensors of a file, which stay on the disk, and its metadata.
  package static func stored(
    in file: FileContents
  ) throws(TorchError) -> (tensors: NamedStoredTensors, metadata: [String: String]) {
    try naming(file.name) { () throws(FormatError) in try SafeTensorsHeader.parse(file.source) }
  }

  /// Writes the whole file or nothing.
  ///
  /// It packs every tensor in row-major order, from any layout and device. It copies one tensor at a time.
  ///
  /// - Throws: `TorchError` that names `path` if the file cannot be written, a tensor's name is used twice or reserved, or the
  ///   format does not have its dtype.
  public func write(to path: String) throws(TorchError) {
    var names: Set<String> = ["__metadata__"]
    for (name, _) in tensors where !names.insert(name).inserted {
      throw TorchError(
        .value, "\(path): the tensor name \(quoted(name)) is used twice or reserved; expected distinct names; rename one")
    }
    for (name, tensor) in tensors where !SafeTensorsHeader.names.contains(where: { $0.dtype == tensor.dtype }) {
      throw TorchError(
        .value,
        "\(path): the tensor \(quoted(name)) has the dtype \(tensor.dtype), which safetensors files do not have; convert it")
    }
    let (header, order) = SafeTensorsHeader.encode(tensors.map { ($0.name, $0.tensor.dtype, $0.tensor.shape) }, metadata: metadata)
    guard header.count - 8 <= SafeTensorsHeader.maximumLength else {
      throw TorchError(
        .value,
        "\(path): its header would take \(header.count) bytes; expected at most \(SafeTensorsHeader.maximumLength); store less text"
      )
    }
    try AtomicFile.write(to: path) { file throws(TorchError) in
      try file.append(header)
      for index in order { try file.append(tensors[index].tensor.hostBytes()) }
    }
  }
}
