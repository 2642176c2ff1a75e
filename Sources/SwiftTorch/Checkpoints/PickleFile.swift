/// A reader of Python's pickles that `torch.save` did not write, such as the batches of CIFAR.
///
/// It runs no code from the file; see `Unpickler`.
package enum PickleFile {
  /// True if the bytes begin as a pickle of protocol 2 to 5 does.
  package static func begins(_ bytes: [UInt8]) -> Bool { bytes.count > 2 && bytes[0] == 0x80 && 2...5 ~= bytes[1] }

  /// Reads one pickle.
  ///
  /// - Throws: `TorchError` that names the file if the pickle is cut off or damaged.
  package static func decode(_ bytes: [UInt8], name: String) throws(TorchError) -> CheckpointValue {
    try naming(name) { () throws(FormatError) in
      var machine = Unpickler(bytes)
      let root = try machine.run()
      return try machine.value(root, storages: [])
    }
  }
}

extension CheckpointValue {
  /// Returns the array if the value is one of NumPy, or nil for any other value.
  ///
  /// NumPy pickles an array as `_reconstruct(…)` with a state, and from protocol 5 as `_frombuffer(…)`.
  /// - Throws: `TorchError` that names `source` if the elements do not fit the shape or have no dtype.
  package func numPyArray(source: String) throws(TorchError) -> StoredTensor? {
    guard case .object(let index) = value else { return nil }
    let object = pickle.objects[index]
    let call = pickle.globals[object.type]
    let arguments: (elements: Unpickler.Value, type: Unpickler.Value, shape: Unpickler.Value, isFortran: Bool)
    if call.hasSuffix("multiarray._reconstruct"), let state = items(object.state), state.count == 5 {
      var isFortran = false
      if case .bool(true) = state[3] { isFortran = true }
      if case .int(1) = state[3] { isFortran = true }
      arguments = (state[4], state[2], state[1], isFortran)
    } else if call.hasSuffix("numeric._frombuffer"), object.arguments.count == 4 {
      var isFortran = false
      if case .string("F") = object.arguments[3] { isFortran = true }
      arguments = (object.arguments[0], object.arguments[1], object.arguments[2], isFortran)
    } else {
      return nil
    }
    guard let elements = bytes(arguments.elements), let descriptor = elementType(arguments.type), let sizes = items(arguments.shape)
    else { return nil }
    var shape: [Int] = []
    for size in sizes {
      guard case .int(let size) = size, size >= 0 else { return nil }
      shape.append(size)
    }
    return try naming(source) { () throws(FormatError) in
      try NumPyFile.array(elements, descriptor, shape: shape, isFortran: arguments.isFortran)
    }
  }

  /// The elements of a list or tuple.
  private func items(_ value: Unpickler.Value) -> [Unpickler.Value]? {
    guard case .container(let index) = value, pickle.containers[index].kind != .mapping else { return nil }
    return pickle.containers[index].items
  }

  /// Bytes; Python 2 has text in their place, which is the same bytes if they happen to be UTF-8.
  private func bytes(_ value: Unpickler.Value) -> ArraySlice<UInt8>? {
    switch value {
    case .string(let text): return Array(text.utf8)[...]
    case .bytes(let storage): return if case .bytes(let bytes) = storage.origin { bytes } else { nil }
    default: return nil
    }
  }

  /// NumPy's name of an element type, from `numpy.dtype("u1", …)` with the state `(3, "|", …)`.
  private func elementType(_ value: Unpickler.Value) -> String? {
    guard case .object(let index) = value, pickle.globals[pickle.objects[index].type] == "numpy.dtype",
      case .string(let name)? = pickle.objects[index].arguments.first
    else { return nil }
    if name.hasSuffix("1") { return "|" + name }
    guard let state = items(pickle.objects[index].state), state.count > 1, case .string(let order) = state[1] else { return nil }
    return order + name
  }
}
