/// Named tensors in the order of a module or a file (PyTorch's `state_dict()`).
public typealias NamedTensors = [(name: String, tensor: Tensor)]

extension Module {
  /// The parameters and buffers under PyTorch's keys, in the order of `state_dict()`.
  ///
  /// The order is module by module, with the parameters of a module before its buffers. The tensors share memory with the module.
  public var stateDict: NamedTensors {
    var entries: NamedTensors = []
    func walk(_ module: Module, _ prefix: String) {
      func key(_ name: String) -> String { prefix.isEmpty ? name : "\(prefix).\(name)" }
      for (name, parameter) in module.ownParameters { entries.append((key(name), parameter.value.detached())) }
      for (name, buffer) in module.ownBuffers { entries.append((key(name), buffer.value)) }
      for (name, child) in module.children { walk(child, name.isEmpty ? prefix : key(name)) }
    }
    walk(self, "")
    return entries
  }

  /// Copies tensors into this module's parameters and buffers by name (`load_state_dict`).
  ///
  /// - Parameters:
  ///   - state: the tensors to copy. Each takes the dtype, device and layout of the module's tensor.
  ///   - source: the name of the state in error messages, such as a file's path.
  /// - Throws: `TorchError` that lists missing keys, unexpected keys and wrong shapes. The module has not changed then.
  public func loadStateDict(_ state: NamedTensors, source: String = "the state_dict") throws(TorchError) {
    let given = Dictionary(state.map { ($0.name, $0.tensor) }, uniquingKeysWith: { first, _ in first })
    let own = stateDict
    let known = Set(own.map(\.name))
    // Files older than PyTorch 0.4.1 lack `num_batches_tracked`, and only momentum=None reads it.
    let missing = own.map(\.name).filter { given[$0] == nil && !$0.hasSuffix("num_batches_tracked") }
    let unexpected = state.map(\.name).filter { !known.contains($0) }
    let mismatched = own.compactMap { name, tensor in
      given[name].flatMap { $0.shape == tensor.shape ? nil : "\(name) is \($0.shape), expected \(tensor.shape)" }
    }
    var faults: [String] = []
    if !missing.isEmpty { faults.append("missing keys: \(Self.listed(missing))") }
    if !unexpected.isEmpty { faults.append("unexpected keys: \(Self.listed(unexpected))") }
    if !mismatched.isEmpty { faults.append("wrong shapes: \(Self.listed(mismatched))") }
    guard faults.isEmpty else {
      throw TorchError(.value, "\(source) does not fit \(type(of: self)): \(faults.joined(separator: "; "))")
    }
    withNoGrad { for (name, tensor) in own { if let value = given[name] { tensor.copyInPlace(from: value) } } }
  }

  private static func listed(_ names: [String]) -> String {
    let shown = names.prefix(8).joined(separator: ", ")
    return names.count > 8 ? "\(shown), and \(names.count - 8) more" : shown
  }
}
