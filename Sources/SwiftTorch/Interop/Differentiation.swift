import CTorchShim

extension Tensor {
  /// True if autograd tracks operations on this tensor (`requires_grad`).
  public var requiresGrad: Bool { ts_tensor_requires_grad(handle) }

  /// True if the tensor is not the result of a tracked operation (`is_leaf`).
  public var isLeaf: Bool { ts_tensor_is_leaf(handle) }

  /// Turns tracking on or off for a floating-point leaf in place, and returns the leaf (`requires_grad_`).
  @discardableResult public func requireGrad(_ required: Bool = true) -> Tensor {
    guard ts_tensor_set_requires_grad(handle, required) == TS_OK else { fatalError("requireGrad: \(lastErrorMessage())") }
    return self
  }

  /// The gradient that `backward()` accumulated for this leaf, or nil (`grad`).
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

  /// Adds the gradients of this tensor to the `grad` of every leaf that it depends on (`Tensor.backward`).
  ///
  /// `gradient` has this tensor's shape, and is nil for a scalar. The graph stays for another pass if `retainGraph` is true.
  /// The gradients are differentiable if `createGraph` is true.
  public func backward(_ gradient: Tensor? = nil, retainGraph: Bool = false, createGraph: Bool = false) {
    let status = withExtendedLifetime((self, gradient)) {
      var output: ts_tensor? = handle
      var seed: ts_tensor? = gradient?.handle
      // Without seeds libtorch accepts only a scalar output. A NULL seed would mean ones of any shape.
      return withUnsafePointer(to: &seed) {
        ts_backward(&output, 1, gradient == nil ? nil : $0, retainGraph || createGraph, createGraph)
      }
    }
    guard status == TS_OK else { fatalError("backward: \(lastErrorMessage()) (output of shape \(shape))") }
  }

  /// Returns the gradient of `output` with respect to one tensor, in that tensor's shape (`torch.autograd.grad`).
  ///
  /// The function computes no other gradient and accumulates none, so it spends no time on the weights. `seed` is the gradient with
  /// respect to `output`, in its shape, and is nil for a scalar. The graph stays for another gradient if `retainGraph` is true.
  /// The result is differentiable if `createGraph` is true.
  public static func gradient(
    of output: Tensor, withRespectTo input: Tensor, seed: Tensor? = nil, retainGraph: Bool = false, createGraph: Bool = false
  ) -> Tensor { gradient(of: output, withRespectTo: [input], seed: seed, retainGraph: retainGraph, createGraph: createGraph)[0] }

  /// Returns the gradients with respect to several tensors. It traps if `output` does not depend on one of them.
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

  /// Returns the gradient or throws libtorch's message. It returns nil if `output` does not depend on `input`.
  public static func checkedGradient(
    of output: Tensor, withRespectTo input: Tensor, retainGraph: Bool = false
  ) throws(TorchError) -> Tensor? {
    try gradients(of: [output], [input], nil, retainGraph, false, allowUnused: true)[0]
  }

  /// Returns the gradients of Σ ⟨output, seed⟩ over several outputs with respect to several tensors, in one backward pass.
  ///
  /// There is one seed per output, of its shape; nil means scalar outputs. A tensor that no output depends on gets nil. The error
  /// has libtorch's message. PyTorch: `torch.autograd.grad` with `allow_unused=True`.
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
        // The slots hold the inputs, the outputs, the seeds and the results.
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

/// True if autograd records on this thread (`torch.is_grad_enabled()`).
public var isGradEnabled: Bool { ts_grad_mode() }

/// Runs `body` without recording for autograd (`torch.no_grad()`).
public func withNoGrad<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R { try withGradMode(false, body) }

/// Runs `body` with recording on, for example inside `withNoGrad` (`torch.enable_grad()`).
public func withGrad<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R { try withGradMode(true, body) }

/// Runs `body` with this thread's recording on or off, and restores it on every exit (`torch.set_grad_enabled(mode)`).
public func withGradMode<R, E: Error>(_ enabled: Bool, _ body: () throws(E) -> R) throws(E) -> R {
  let previous = ts_grad_mode_set(enabled)
  defer { _ = ts_grad_mode_set(previous) }
  return try body()
}
