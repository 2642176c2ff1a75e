import CTorchShim

/// A loaded TorchScript archive that can be run and differentiated (`torch.jit.load`).
public final class ScriptModule {
  let handle: ts_script
  /// The name of the archive in error messages.
  public let name: String
  /// The TorchScript code of all files in the archive.
  public let source: String
  /// PyTorch's names of the modules that were in training mode when the archive was saved; "" for the outermost module.
  public let trainingModules: [String]
  /// The operators and classes of the archive that are not on the list of harmless ones; empty unless the caller trusts it.
  public let questionableOperators: [String]

  private init(
    owning handle: ts_script, name: String, source: String, trainingModules: [String], questionableOperators: [String]
  ) {
    self.handle = handle
    self.name = name
    self.source = source
    self.trainingModules = trainingModules
    self.questionableOperators = questionableOperators
  }

  deinit { ts_script_free(handle) }

  /// Loads an archive. A file of another kind and a device that the machine does not have are errors.
  ///
  /// Before libtorch sees the archive, all of its code is read. It may use tensor and control operators only. An archive with
  /// another operator, such as `torch.from_file`, which writes files, is an error, unless `trusted` is true.
  public convenience init(_ file: FileContents, device: Device = .cpu, trusted: Bool = false) throws(TorchError) {
    // libtorch trusts a damaged archive and may allocate gigabytes, so the code verifies the checksums first.
    var (source, trainingModules, code) = ("", [String](), ScriptCode())
    do throws(FormatError) {
      let archive = try file.archive()
      for entry in archive.entries {
        let contents = try archive.contents(of: entry)
        if entry.name.hasSuffix(".py") {
          source += String(decoding: contents, as: UTF8.self) + "\n"
          code.scan(contents)
        }
        if entry.name.hasSuffix(".pkl") { code.scan(pickle: contents) }
        if entry.name.hasSuffix("/model.json") {
          throw FormatError("it has the format of PyTorch 1.0, whose code cannot be checked; save it again with a current PyTorch")
        }
        if entry.name.hasSuffix("/data.pkl") { trainingModules = ScriptTrainingFlags(contents).modules }
      }
    } catch { throw TorchError(.io, "\(file.name) could not be loaded as TorchScript: \(error.message)") }
    let questionable = code.refused.sorted()
    guard trusted || questionable.isEmpty else { throw Self.refusal(file.name, questionable) }
    var out: ts_script?
    let status = try file.bytes().withUnsafeBytes { ts_script_load($0.baseAddress, $0.count, device.abi, &out) }
    guard status == TS_OK, let out else {
      throw TorchError(.io, "\(file.name) could not be loaded as TorchScript: \(lastErrorMessage())")
    }
    self.init(
      owning: out, name: file.name, source: source, trainingModules: trainingModules, questionableOperators: questionable)
  }

  private static func refusal(_ name: String, _ operators: [String]) -> TorchError {
    let some = operators.prefix(3).joined(separator: ", ") + (operators.count > 3 ? ", …" : "")
    return TorchError(
      .value,
      "\(name) uses \(some), which is not on the list of harmless tensor operators and could reach files, processes or the "
        + "network; nothing of the archive ran. If you trust its author, load it as trusted (--trust-archive)")
  }

  /// Runs `forward(input)`. It is an error if the model rejects the input or does not return exactly one tensor.
  public func callAsFunction(_ input: Tensor) throws(TorchError) -> Tensor {
    var out: ts_tensor?
    let status = withExtendedLifetime((self, input)) { ts_script_forward(handle, input.handle, &out) }
    guard status == TS_OK, let out else {
      throw TorchError(.value, "\(name) failed on an input of shape \(input.shape): \(Self.cause(lastErrorMessage()))")
    }
    return Tensor(owning: out)
  }

  /// Returns the cause of an error without TorchScript's traceback through the source.
  private static func cause(_ message: String) -> String {
    let line = message.split(separator: "\n").last { !$0.allSatisfy(\.isWhitespace) } ?? ""
    return String(line.hasPrefix("RuntimeError: ") ? line.dropFirst("RuntimeError: ".count) : line)
  }

  /// True if the outermost module is in training mode.
  public var isTraining: Bool { ts_script_is_training(handle) }

  /// Sets the mode of all modules (`train(mode)`).
  public func setTraining(_ training: Bool) throws(TorchError) { try TorchError.check(ts_script_set_training(handle, training)) }

  /// Moves parameters and buffers to a device (`to(device)`).
  public func move(to device: Device) throws(TorchError) { try TorchError.check(ts_script_to_device(handle, device.abi)) }

  /// Returns the named parameters. They share memory with the module.
  public func namedParameters() throws(TorchError) -> NamedTensors { try state().parameters }

  /// Returns the named buffers. They share memory with the module.
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

  /// Returns a copy with folded constants, for forward passes only (`torch.jit.freeze`). Training mode is an error.
  public func frozen() throws(TorchError) -> ScriptModule {
    var out: ts_script?
    try TorchError.check(ts_script_freeze(handle, &out))
    return ScriptModule(
      owning: out!, name: name, source: source, trainingModules: [], questionableOperators: questionableOperators)
  }
}
