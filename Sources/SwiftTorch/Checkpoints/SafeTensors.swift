/// Named tensors and text in a safetensors file, this project's native checkpoint format.
///
/// PyTorch: `safetensors.torch.load_file` and `save_file` read and write the same files.
public struct SafeTensors {
  /// The tensors by name; written files keep this order among tensors of one element size.
  public var tensors: NamedTensors
  /// Free text by key, stored under `__metadata__`.
  public var metadata: [String: String]

  public init(tensors: NamedTensors, metadata: [String: String] = [:]) {
    self.tensors = tensors
    self.metadata = metadata
  }

  /// The tensor of that name.
  public subscript(_ name: String) -> Tensor? {
    tensors.first { $0.name == name }?.tensor
  }

  /// Reads a file into CPU tensors.
  ///
  /// - Throws: `TorchError` naming `path` and what is wrong: cut off, overlapping or missing data, an unknown dtype, bad JSON.
  public static func read(_ path: String) throws(TorchError) -> SafeTensors {
    try decode(try FileContents.read(path, expecting: "a safetensors file"))
  }

  /// Reads a file's contents.
  public static func decode(_ file: FileContents) throws(TorchError) -> SafeTensors {
    let (stored, metadata) = try naming(file.name) { () throws(FormatError) in try SafeTensorsHeader.parse(file.bytes) }
    return SafeTensors(tensors: TensorMaker.tensors(stored), metadata: metadata)
  }

  /// Writes the file whole or not at all, one tensor in memory at a time beside the tensors themselves.
  ///
  /// Tensors of any layout and device are stored packed in row-major order.
  ///
  /// - Throws: `TorchError` naming `path` when it cannot be written, or a name that is used twice or reserved.
  public func write(to path: String) throws(TorchError) {
    var names: Set<String> = ["__metadata__"]
    for (name, _) in tensors where !names.insert(name).inserted {
      throw TorchError(
        .value, "\(path): the tensor name \(quoted(name)) is used twice or reserved; expected distinct names; rename one")
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
