/// The Python names that a pickle may use: those that a state_dict or a plain training checkpoint needs.
///
/// No name runs code. Each stands for a container, a number or a tensor that the unpickler itself builds, as in PyTorch's
/// `torch.load(weights_only=True)`.
enum PickleGlobal: Equatable {
  case mapping, list, tuple, set, namespace
  /// A type that a pickle may name but not call, such as a `defaultdict`'s factory.
  case inert(String)
  case storage(DType)
  case unsupportedStorage(String)
  case rebuildTensor, rebuildTensorV2, rebuildTensorV3, rebuildParameter, parameter
  case size, device
  case dtype(String)
  case numpyScalar, numpyType, encode, reconstructor

  /// Finds the global with this name. The function imports nothing; it throws an error with the name if the name is not allowed.
  static func find(module: String, name: String) throws(FormatError) -> PickleGlobal {
    if let known = known["\(module) \(name)"] { return known }
    if module == "torch" || module == "torch.cuda" {
      if let dtype = storages[name] { return .storage(dtype) }
      if name.hasSuffix("Storage") { return .unsupportedStorage("\(module).\(name)") }
      if module == "torch", dtypes.contains(name) { return .dtype("torch.\(name)") }
    }
    throw FormatError(
      "the pickle asks for \(quoted("\(module).\(name)")), which is not part of a state_dict and is not run; expected only "
        + "tensors and "
        + "plain containers; re-save it in Python with torch.save(model.state_dict(), path)")
  }

  private static let storages: [String: DType] = [
    "DoubleStorage": .float64, "FloatStorage": .float32, "HalfStorage": .float16, "BFloat16Storage": .bfloat16,
    "LongStorage": .int64, "IntStorage": .int32, "ShortStorage": .int16, "CharStorage": .int8, "ByteStorage": .uint8,
    "BoolStorage": .bool, "UntypedStorage": .uint8,
  ]

  private static let dtypes: Set<String> = [
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool",
    "uint16", "uint32", "uint64", "complex32", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2",
    "float8_e4m3fnuz", "float8_e5m2fnuz", "quint8", "qint8", "qint32",
  ]

  private static let known: [String: PickleGlobal] = {
    var table: [String: PickleGlobal] = [
      "collections OrderedDict": .mapping, "collections defaultdict": .mapping, "collections Counter": .mapping,
      "argparse Namespace": .namespace, "torch._utils _rebuild_tensor": .rebuildTensor,
      "torch._utils _rebuild_tensor_v2": .rebuildTensorV2, "torch._utils _rebuild_tensor_v3": .rebuildTensorV3,
      "torch._utils _rebuild_parameter": .rebuildParameter, "torch._utils _rebuild_parameter_with_state": .rebuildParameter,
      "torch.nn.parameter Parameter": .parameter, "torch.nn.parameter Buffer": .parameter, "torch Size": .size,
      "torch device": .device, "torch.storage UntypedStorage": .storage(.uint8), "torch.storage _UntypedStorage": .storage(.uint8),
      "torch.storage TypedStorage": .storage(.uint8), "torch.storage _TypedStorage": .storage(.uint8),
      "numpy.core.multiarray scalar": .numpyScalar, "numpy._core.multiarray scalar": .numpyScalar, "numpy dtype": .numpyType,
      "_codecs encode": .encode, "copyreg _reconstructor": .reconstructor, "copy_reg _reconstructor": .reconstructor,
    ]
    for module in ["builtins", "__builtin__"] {
      table["\(module) dict"] = .mapping
      table["\(module) list"] = .list
      table["\(module) tuple"] = .tuple
      table["\(module) set"] = .set
      table["\(module) frozenset"] = .set
      for name in ["int", "long", "float", "bool", "str", "unicode", "bytes", "object"] {
        table["\(module) \(name)"] = .inert("\(module).\(name)")
      }
    }
    return table
  }()
}

extension PickleGlobal: CustomStringConvertible {
  var description: String {
    switch self {
    case .inert(let name), .dtype(let name), .unsupportedStorage(let name): name
    case .storage(let dtype): "the storage type of \(dtype)"
    default: "a Python type"
    }
  }
}
