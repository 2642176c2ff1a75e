/// Updates parameters with the gradients that `backward()` accumulated in them (`torch.optim.Optimizer`).
public protocol Optimizer: AnyObject {
  /// The learning rate of the next update. A schedule sets it between updates.
  var learningRate: Double { get set }
  var parameters: [Parameter] { get }

  /// Updates every parameter that has a gradient, and leaves the others unchanged.
  func step()

  /// The named tensors that a checkpoint needs besides the parameters, so that a later `step()` gives the same result.
  var state: NamedTensors { get }

  /// Restores a saved `state`.
  ///
  /// - Throws: `TorchError` if the state belongs to another kind of optimizer or to other parameters. The optimizer has not changed
  ///   then.
  func restore(_ state: NamedTensors) throws(TorchError)
}

extension Optimizer {
  /// Drops the gradients of all parameters (`zero_grad()`).
  public func clearGradients() { for parameter in parameters { parameter.value.grad = nil } }

  /// Scales all gradients so that their joint L2 norm is at most `maximum` (`clip_grad_norm_`).
  ///
  /// - Returns: the norm before the scaling.
  @discardableResult public func clipGradientNorm(to maximum: Double) -> Double {
    withNoGrad {
      let norm = gradientNorm()
      let factor = maximum / (norm + 1e-6)
      if factor < 1 { for parameter in parameters { parameter.value.grad?.multiplyInPlace(by: factor) } }
      return norm
    }
  }

  /// The joint L2 norm of all gradients.
  public func gradientNorm() -> Double {
    withNoGrad {
      let norms = parameters.compactMap { $0.value.grad?.norm() }
      return norms.isEmpty ? 0 : Tensor.stacked(norms).norm().item()
    }
  }

  /// Finds the saved tensors `prefix.i` of the parameters and checks their shapes. A parameter without one gets nil.
  func slots(_ prefix: String, in state: NamedTensors) throws(TorchError) -> [Tensor?] {
    let given = Dictionary(state.map { ($0.name, $0.tensor) }, uniquingKeysWith: { first, _ in first })
    var found: [Tensor?] = []
    for (i, parameter) in parameters.enumerated() {
      let tensor = given["\(prefix).\(i)"]
      if let tensor, tensor.shape != parameter.value.shape {
        throw TorchError(.value, "the optimizer's \(prefix).\(i) has shape \(tensor.shape); expected \(parameter.value.shape)")
      }
      found.append(tensor.map { $0.to(parameter.value.device) })
    }
    return found
  }
}
