import CTorchShim

extension Tensor {
  /// Whether autograd tracks operations on this tensor.
  public var requiresGrad: Bool { ts_tensor_requires_grad(handle) }

  /// Whether the tensor was made by the user rather than by a tracked operation.
  public var isLeaf: Bool { ts_tensor_is_leaf(handle) }

  /// Turns tracking on (or off) for a leaf of floating-point type, in place, and returns it (`requires_grad_`).
  @discardableResult
  public func requireGrad(_ required: Bool = true) -> Tensor {
    guard ts_tensor_set_requires_grad(handle, required) == TS_OK else { fatalError("requireGrad: \(lastErrorMessage())") }
    return self
  }

  /// The gradient `backward()` accumulated here, nil when there is none.
  public var grad: Tensor? {
    get {
      var out: ts_tensor?
      guard ts_tensor_grad(handle, &out) == TS_OK else { fatalError("grad: \(lastErrorMessage())") }
      return out.map { Tensor(owning: $0) }
    }
    set {
      guard ts_tensor_set_grad(handle, newValue?.handle) == TS_OK else { fatalError("grad: \(lastErrorMessage())") }
      withExtendedLifetime(newValue) {}
    }
  }

  /// Accumulates the gradient of this tensor into the `grad` of every leaf it depends on (`Tensor.backward`).
  ///
  /// - Parameter gradient: of this tensor's shape; nil for a scalar.
  public func backward(_ gradient: Tensor? = nil, retainGraph: Bool = false, createGraph: Bool = false) {
    let status = withExtendedLifetime((self, gradient)) {
      var output: ts_tensor? = handle
      var seed: ts_tensor? = gradient?.handle
      // Without seeds libtorch takes a scalar output only; a NULL among them would stand for ones of any shape.
      return withUnsafePointer(to: &seed) {
        ts_backward(&output, 1, gradient == nil ? nil : $0, retainGraph || createGraph, createGraph)
      }
    }
    guard status == TS_OK else { fatalError("backward: \(lastErrorMessage()) (output of shape \(shape))") }
  }

  /// The gradient of `output` with respect to one tensor (`torch.autograd.grad`), of that tensor's shape.
  ///
  /// Nothing is accumulated anywhere and no other gradient is computed: weights pay nothing for it.
  /// - Parameters:
  ///   - output: a scalar, or with `seed` a tensor of `seed`'s shape.
  ///   - createGraph: whether the result can be differentiated again.
  public static func gradient(
    of output: Tensor, withRespectTo input: Tensor, seed: Tensor? = nil, retainGraph: Bool = false, createGraph: Bool = false
  ) -> Tensor {
    gradient(of: output, withRespectTo: [input], seed: seed, retainGraph: retainGraph, createGraph: createGraph)[0]
  }

  /// As above for several tensors. One that `output` does not depend on is a programming error.
  public static func gradient(
    of output: Tensor, withRespectTo inputs: [Tensor], seed: Tensor? = nil, retainGraph: Bool = false, createGraph: Bool = false
  ) -> [Tensor] {
    do {
      return try gradients(of: [output], inputs, seed.map { [$0] }, retainGraph || createGraph, createGraph, allowUnused: false)
        .map { $0! }
    } catch {
      fatalError("gradient: \(error.message) (output of shape \(output.shape))")
    }
  }

  /// As `gradient`, for a graph that somebody else's model built and that may not be differentiable.
  ///
  /// - Returns: nil for an input that `output` does not depend on.
  public static func checkedGradient(
    of output: Tensor, withRespectTo input: Tensor, retainGraph: Bool = false
  ) throws(TorchError) -> Tensor? {
    try gradients(of: [output], [input], nil, retainGraph, false, allowUnused: true)[0]
  }

  /// The gradient of Σ ⟨output, seed⟩ over several outputs with respect to several tensors, in one pass (`torch.autograd.grad` with
  /// `allow_unused`).
  ///
  /// - Parameter seeds: one per output, of its shape; nil for scalar outputs.
  /// - Returns: nil for a tensor that no output depends on.
  public static func checkedGradients(
    of outputs: [Tensor], withRespectTo inputs: [Tensor], seeds: [Tensor]? = nil, retainGraph: Bool = false,
    createGraph: Bool = false
  ) throws(TorchError) -> [Tensor?] {
    require(seeds.map { $0.count == outputs.count } ?? true, "checkedGradients: \(outputs.count) outputs need as many seeds")
    return try gradients(of: outputs, inputs, seeds, retainGraph || createGraph, createGraph, allowUnused: true)
  }

  private static func gradients(
    of outputs: [Tensor], _ inputs: [Tensor], _ seeds: [Tensor]?, _ retainGraph: Bool, _ createGraph: Bool, allowUnused: Bool
  ) throws(TorchError) -> [Tensor?] {
    let outcome: Result<[Tensor?], TorchError> = withExtendedLifetime((outputs, inputs, seeds)) {
      withUnsafeTemporaryAllocation(of: ts_tensor?.self, capacity: 2 * (inputs.count + outputs.count)) { slots in
        slots.initialize(repeating: nil)
        for (i, tensor) in (inputs + outputs + (seeds ?? [])).enumerated() { slots[i] = tensor.handle }
        let sources = slots.baseAddress! + inputs.count
        let weights = sources + outputs.count
        // Past the inputs, the outputs and as many seeds.
        let results = weights + outputs.count
        let status = ts_gradient(
          sources, outputs.count, slots.baseAddress, inputs.count, seeds == nil ? nil : weights, retainGraph, createGraph,
          allowUnused, results)
        guard status == TS_OK else { return .failure(TorchError(status: status)) }
        return .success((0..<inputs.count).map { i in results[i].map { Tensor(owning: $0) } })
      }
    }
    return try outcome.get()
  }
}

/// Whether autograd records on this thread (`torch.is_grad_enabled()`).
public var isGradEnabled: Bool { ts_grad_mode() }

/// Runs `body` without recording for autograd (`torch.no_grad()`).
public func withNoGrad<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
  try withGradMode(false, body)
}

/// Runs `body` with recording on, inside a `withNoGrad` for instance (`torch.enable_grad()`).
public func withGrad<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
  try withGradMode(true, body)
}

/// Runs `body` with recording on or off, and restores the mode on every exit (`torch.set_grad_enabled(mode)`).
///
/// The mode belongs to the thread, so `body` is synchronous.
public func withGradMode<R, E: Error>(_ enabled: Bool, _ body: () throws(E) -> R) throws(E) -> R {
  let previous = ts_grad_mode_set(enabled)
  defer { _ = ts_grad_mode_set(previous) }
  return try body()
}
