import CTorchShim

/// One overload of an ATen operator, which the shim's boxed entry point calls.
struct Operator: @unchecked Sendable {
  // The handle is immutable and lives as long as the process.
  private let handle: ts_operator
  let name: String

  /// Looks up an operator of the namespace `aten`, or one with a qualified name ("mkldnn::…"), and traps if libtorch lacks it.
  init(_ name: String, _ overload: String = "") {
    let qualified = name.contains("::") ? name : "aten::\(name)"
    var found: ts_operator?
    guard ts_operator_find(qualified, overload, &found) == TS_OK, let found else {
      fatalError("libtorch \(String(cString: ts_torch_version())) has no operator \(qualified).\(overload): \(lastErrorMessage())")
    }
    handle = found
    self.name = overload.isEmpty ? name : "\(name).\(overload)"
  }

  @inline(__always) func callAsFunction(_ a: Tensor) -> Tensor {
    withUnsafeTemporaryAllocation(of: ts_value.self, capacity: 1) { arguments in
      arguments.initializeElement(at: 0, to: ts_value(a))
      return withExtendedLifetime(a) { single(UnsafeBufferPointer(arguments)) { [a] } }
    }
  }

  @inline(__always) func callAsFunction(_ a: Tensor, _ b: Tensor) -> Tensor {
    withUnsafeTemporaryAllocation(of: ts_value.self, capacity: 2) { arguments in
      arguments.initializeElement(at: 0, to: ts_value(a))
      arguments.initializeElement(at: 1, to: ts_value(b))
      // A tuple of both would retain each, which costs 20 ns of the 500 ns of a small addition.
      return withExtendedLifetime(a) { withExtendedLifetime(b) { single(UnsafeBufferPointer(arguments)) { [a, b] } } }
    }
  }

  /// Calls the operator on one tensor and throws instead of trapping, because a file decides about the tensor.
  func checked(_ a: Tensor) throws(TorchError) -> Tensor {
    var (argument, result, produced) = (ts_value(a), ts_value(), 0)
    let status = withExtendedLifetime(a) { ts_operator_call(handle, &argument, 1, &result, 1, &produced) }
    try TorchError.check(status)
    guard Int(result.kind) == TS_TENSOR, let tensor = result.as.tensor else {
      throw TorchError(.runtime, "\(name): expected a tensor, but the result has kind \(result.kind)")
    }
    return Tensor(owning: tensor)
  }

  func callAsFunction(_ arguments: Argument...) -> Tensor {
    arguments.withValues { values in single(values) { arguments.tensors } }
  }

  /// Returns the two results, which must be tensors.
  func pair(_ arguments: Argument...) -> (Tensor, Tensor) {
    let all = results(arguments)
    return (all[0]!, all[1]!)
  }

  /// Returns all results that are tensors, with lists flattened. An undefined tensor (an unused optional result) is nil.
  func results(_ arguments: Argument...) -> [Tensor?] { results(arguments) }

  private func results(_ arguments: [Argument]) -> [Tensor?] {
    arguments.withValues { values in
      withUnsafeTemporaryAllocation(of: ts_value.self, capacity: 8) { slots in
        slots.initialize(repeating: ts_value())
        let produced = call(values, slots) { arguments.tensors }
        var tensors: [Tensor?] = []
        for i in 0..<produced {
          switch Int(slots[i].kind) {
          case TS_TENSOR: tensors.append(slots[i].as.tensor.map { Tensor(owning: $0) })
          case TS_TENSOR_LIST, TS_OPTIONAL_TENSOR_LIST:
            for j in 0..<slots[i].count {
              tensors.append(slots[i].as.tensors[j].map { Tensor(owning: $0) })
              slots[i].as.tensors[j] = nil
            }
            ts_value_free(&slots[i])
          case TS_NONE: tensors.append(nil)
          default: ts_value_free(&slots[i])
          }
        }
        return tensors
      }
    }
  }

  /// Returns the only scalar result as a Double.
  func double(_ arguments: Argument...) -> Double {
    arguments.withValues { values in
      var result = only(values) { arguments.tensors }
      defer { ts_value_free(&result) }
      switch Int(result.kind) {
      case TS_BOOL: return result.as.boolean ? 1 : 0
      case TS_INT: return Double(result.as.integer)
      case TS_DOUBLE: return result.as.real
      default: fatalError("\(name): expected a scalar, but the result has kind \(result.kind)")
      }
    }
  }

  @inline(__always) private func single(_ values: UnsafeBufferPointer<ts_value>, operands: () -> [Tensor]) -> Tensor {
    let result = only(values, operands: operands)
    guard Int(result.kind) == TS_TENSOR, let tensor = result.as.tensor else {
      fatalError("\(name): expected a tensor, but the result has kind \(result.kind)")
    }
    return Tensor(owning: tensor)
  }

  @inline(__always) private func only(_ values: UnsafeBufferPointer<ts_value>, operands: () -> [Tensor]) -> ts_value {
    var result = ts_value()
    _ = withUnsafeMutablePointer(to: &result) { call(values, UnsafeMutableBufferPointer(start: $0, count: 1), operands: operands) }
    return result
  }

  /// Returns the number of results. A failure is a programming error, so it traps.
  @inline(__always) private func call(
    _ values: UnsafeBufferPointer<ts_value>, _ results: UnsafeMutableBufferPointer<ts_value>, operands: () -> [Tensor]
  ) -> Int {
    var produced = 0
    let status = ts_operator_call(handle, values.baseAddress, values.count, results.baseAddress, results.count, &produced)
    if status != TS_OK { trap(operands()) }
    return produced
  }

  @inline(never) private func trap(_ operands: [Tensor]) -> Never {
    // The shapes come from the shim, which may overwrite the message.
    let message = lastErrorMessage()
    let shapes = operands.map { "\($0.shape)" }.joined(separator: " and ")
    fatalError("\(name): \(message)\(shapes.isEmpty ? "" : " (operands of shape \(shapes))")")
  }
}

/// Returns the message of the last failed call on this thread.
func lastErrorMessage() -> String { String(cString: ts_error_message()) }

extension TorchError {
  /// Makes an error from the last failed call on this thread.
  init(status: ts_status) { self.init(Code(rawValue: status) ?? .runtime, lastErrorMessage()) }

  /// Throws if `status` is not success.
  static func check(_ status: ts_status) throws(TorchError) { if status != TS_OK { throw TorchError(status: status) } }
}
