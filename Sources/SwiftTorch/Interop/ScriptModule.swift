import CTorchShim

/// A TorchScript archive: loaded, run, differentiated, its parameters listed (`torch.jit.load`).
public final class ScriptModule {
  let handle: ts_script
  /// What to call it in messages.
  public let name: String
  /// The TorchScript code in the archive, all of its files.
  public let source: String
  /// The modules that were in training mode when the archive was saved, by PyTorch's names; "" for the outermost.
  public let trainingModules: [String]

  private init(owning handle: ts_script, name: String, source: String, trainingModules: [String]) {
    self.handle = handle
    self.name = name
    self.source = source
    self.trainingModules = trainingModules
  }

  deinit { ts_script_free(handle) }

  /// Loads an archive.
  ///
  /// - Throws: `TorchError` when it is not a TorchScript archive or the device is not there.
  public convenience init(_ file: FileContents, device: Device = .cpu) throws(TorchError) {
    // libtorch believes what a damaged archive says, up to gigabytes of memory; a checksum is cheaper.
    var (source, trainingModules) = ("", [String]())
    do throws(FormatError) {
      let archive = try file.archive()
      for entry in archive.entries {
        let contents = try archive.contents(of: entry)
        if entry.name.contains("/code/") && entry.name.hasSuffix(".py") { source += String(decoding: contents, as: UTF8.self) + "\n" }
        if entry.name.hasSuffix("/data.pkl") { trainingModules = ScriptTrainingFlags(contents).modules }
      }
    } catch {
      throw TorchError(.io, "\(file.name) could not be loaded as TorchScript: \(error.message)")
    }
    var out: ts_script?
    let status = file.bytes.withUnsafeBytes { ts_script_load($0.baseAddress, $0.count, device.abi, &out) }
    guard status == TS_OK, let out else {
      throw TorchError(.io, "\(file.name) could not be loaded as TorchScript: \(lastErrorMessage())")
    }
    self.init(owning: out, name: file.name, source: source, trainingModules: trainingModules)
  }

  /// Runs `forward(input)`.
  ///
  /// - Throws: `TorchError` when the model rejects the input or returns something else than one tensor.
  public func callAsFunction(_ input: Tensor) throws(TorchError) -> Tensor {
    var out: ts_tensor?
    let status = withExtendedLifetime((self, input)) { ts_script_forward(handle, input.handle, &out) }
    guard status == TS_OK, let out else {
      throw TorchError(
        .value, "\(name) failed on an input of shape \(input.shape): \(Self.cause(lastErrorMessage()))")
    }
    guard DType(rawValue: ts_tensor_dtype(out)) != nil else {
      ts_tensor_free(out)
      throw TorchError(.type, "\(name) returned a tensor of a type that is not supported; expected floating-point logits")
    }
    return Tensor(owning: out)
  }

  /// What went wrong, without the traceback through the script's source that TorchScript puts before it.
  private static func cause(_ message: String) -> String {
    let line = message.split(separator: "\n").last { !$0.allSatisfy(\.isWhitespace) } ?? ""
    return String(line.hasPrefix("RuntimeError: ") ? line.dropFirst("RuntimeError: ".count) : line)
  }

  public var isTraining: Bool { ts_script_is_training(handle) }

  /// `train(mode)`.
  public func setTraining(_ training: Bool) throws(TorchError) {
    try TorchError.check(ts_script_set_training(handle, training))
  }

  public func move(to device: Device) throws(TorchError) {
    try TorchError.check(ts_script_to_device(handle, device.abi))
  }

  /// Parameters by name, the module's own tensors.
  public func namedParameters() throws(TorchError) -> NamedTensors { try state().parameters }

  /// Buffers by name, the module's own tensors.
  public func namedBuffers() throws(TorchError) -> NamedTensors { try state().buffers }

  private func state() throws(TorchError) -> (parameters: NamedTensors, buffers: NamedTensors) {
    var (parameters, buffers) = (0, 0)
    try TorchError.check(ts_script_state_count(handle, &parameters, &buffers))
    var entries: NamedTensors = []
    for index in 0..<(parameters + buffers) {
      var name: UnsafePointer<CChar>?
      var tensor: ts_tensor?
      try TorchError.check(ts_script_state(handle, index, &name, &tensor))
      entries.append((String(cString: name!), Tensor(owning: tensor!)))
    }
    return (Array(entries.prefix(parameters)), Array(entries.dropFirst(parameters)))
  }

  /// A copy in evaluation mode with its constants folded in, for forward passes only (`torch.jit.freeze`).
  public func frozen() throws(TorchError) -> ScriptModule {
    var out: ts_script?
    try TorchError.check(ts_script_freeze(handle, &out))
    return ScriptModule(owning: out!, name: name, source: source, trainingModules: [])
  }
}
