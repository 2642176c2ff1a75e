/// Named tensors in the order of a module or a file (PyTorch's `state_dict()`).
public typealias NamedTensors = [(name: String, tensor: Tensor)]

extension NamedTensors {
  /// The tensors by name. The first of several with one name counts.
  package var byName: [String: Tensor] { Dictionary(map { ($0.name, $0.tensor) }, uniquingKeysWith: { first, _ in first }) }
}

extension Module {
  /// Copies tensors into this module's parameters and buffers by name (`load_state_dict`). They keep their dtypes and devices.
  ///
  /// - Throws: `TorchError` that names `source`, such as a file's path, and lists missing keys, unexpected keys and wrong shapes.
  ///   The module has not changed then.
  public func loadStateDict(_ state: NamedTensors, source: String = "the state_dict") throws(TorchError) {
    let given = state.byName
    let own = stateDict
    let known = Set(own.map(\.name))
    // Files older than PyTorch 0.4.1 lack `num_batches_tracked`, and only momentum=None reads it.
    let missing = own.map(\.name).filter { given[$0] == nil && !$0.hasSuffix("num_batches_tracked") }
    let unexpected = state.map(\.name).filter { !known.contains($0) }
    let mismatched = own.compactMap { name, tensor in
      given[name].flatMap { $0.shape == tensor.shape ? nil : "\(name) is \($0.shape), expected \(tensor.shape)" }
    }
    let faults = [("missing keys", missing), ("unexpected keys", unexpected), ("wrong shapes", mismatched)]
      .filter { !$0.1.isEmpty }.map { "\($0): \(Self.listed($1))" }
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
