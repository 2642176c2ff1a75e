import CTorchShim

/// One overload of an ATen operator. The code looks it up once and calls it through the shim's boxed entry point.
///
/// A new operator needs one line in `Operators.swift` and a method that exposes it.
struct Operator: @unchecked Sendable {
  // The handle is immutable and lives as long as the process.
  private let handle: ts_operator
  let name: String

  /// Looks an operator up, and traps if libtorch does not have it.
  ///
  /// - Parameters:
  ///   - name: the operator's name in the `aten` namespace, or a qualified name ("mkldnn::…").
  ///   - overload: the overload's name without the dot.
  init(_ name: String, _ overload: String = "") {
    let qualified = name.contains("::") ? name : "aten::\(name)"
    var found: ts_operator?
    guard ts_operator_find(qualified, overload, &found) == TS_OK, let found else {
      fatalError("libtorch \(String(cString: ts_torch_version())) has no operator \(qualified).\(overload): \(lastErrorMessage())")
    }
    handle = found
    self.name = overload.isEmpty ? name : "\(name).\(overload)"
  }

  // MARK: Calls that trap on a programming error

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

  func callAsFunction(_ arguments: Argument...) -> Tensor {
    arguments.withValues { values in single(values) { arguments.tensors } }
  }

  /// Returns all results that are tensors, with lists flattened. An undefined tensor (an unused optional result) is nil.
  func results(_ arguments: Argument...) -> [Tensor?] {
    arguments.withValues { values in do throws(TorchError) { return try invoke(values) } catch { trap(error, arguments.tensors) } }
  }

  /// Returns the only scalar result as a Double.
  func double(_ arguments: Argument...) -> Double {
    arguments.withValues { values in
      var result = ts_value()
      var produced = 0
      let status = ts_operator_call(handle, values.baseAddress, values.count, &result, 1, &produced)
      if status != TS_OK { trap(TorchError(status: status), arguments.tensors) }
      defer { ts_value_free(&result) }
      switch Int(result.kind) {
      case TS_BOOL: return result.as.boolean ? 1 : 0
      case TS_INT: return Double(result.as.integer)
      case TS_DOUBLE: return result.as.real
      default: fatalError("\(name): expected a scalar, but the result has kind \(result.kind)")
      }
    }
  }

  // MARK: Calls that can fail because of the environment

  /// Calls the operator and throws instead of trapping, for calls that depend on files, devices or memory limits.
  func checked(_ arguments: Argument...) throws(TorchError) -> Tensor {
    let outcome: Result<Tensor, TorchError> = arguments.withValues { values in
      do throws(TorchError) {
        guard let tensor = try invoke(values).first ?? nil else {
          return .failure(TorchError(.runtime, "\(name): expected a tensor, but there is no result"))
        }
        return .success(tensor)
      } catch { return .failure(error) }
    }
    return try outcome.get()
  }

  // MARK: -

  @inline(__always) private func single(_ values: UnsafeBufferPointer<ts_value>, operands: () -> [Tensor]) -> Tensor {
    var result = ts_value()
    var produced = 0
    let status = ts_operator_call(handle, values.baseAddress, values.count, &result, 1, &produced)
    if status != TS_OK { trap(TorchError(status: status), operands()) }
    guard Int(result.kind) == TS_TENSOR, let tensor = result.as.tensor else {
      fatalError("\(name): expected a tensor, but the result has kind \(result.kind)")
    }
    return Tensor(owning: tensor)
  }

  private func invoke(_ values: UnsafeBufferPointer<ts_value>) throws(TorchError) -> [Tensor?] {
    let outcome: Result<[Tensor?], TorchError> = withUnsafeTemporaryAllocation(of: ts_value.self, capacity: 8) { slots in
      slots.initialize(repeating: ts_value())
      var produced = 0
      let status = ts_operator_call(handle, values.baseAddress, values.count, slots.baseAddress, slots.count, &produced)
      guard status == TS_OK else { return .failure(TorchError(status: status)) }
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
      return .success(tensors)
    }
    return try outcome.get()
  }

  @inline(never) private func trap(_ error: TorchError, _ operands: [Tensor]) -> Never {
    let shapes = operands.map { "\($0.shape)" }.joined(separator: " and ")
    fatalError("\(name): \(error.message)\(shapes.isEmpty ? "" : " (operands of shape \(shapes))")")
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
