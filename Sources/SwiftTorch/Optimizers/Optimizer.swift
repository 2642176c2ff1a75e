/// Updates parameters with the gradients that `backward()` accumulated in them (`torch.optim.Optimizer`).
public protocol Optimizer: AnyObject {
  /// The learning rate of the next update. A schedule sets it between updates.
  var learningRate: Double { get set }
  var parameters: [Parameter] { get }

  /// Updates every parameter that has a gradient, and leaves the others unchanged.
  func step()

  /// The named tensors that a checkpoint needs besides the parameters, so that a later `step()` gives the same result.
  var state: NamedTensors { get }

  /// Restores a saved `state`. A state of another kind of optimizer or of other parameters throws and changes nothing.
  func restore(_ state: NamedTensors) throws(TorchError)
}

extension Optimizer {
  /// Drops the gradients of all parameters (`zero_grad()`).
  public func clearGradients() { for parameter in parameters { parameter.value.grad = nil } }

  /// Scales all gradients to a joint L2 norm of at most `maximum`, and returns the norm before it (`clip_grad_norm_`).
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
    let given = state.byName
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

extension Double {
  /// Returns the power by repeated multiplication, which rounds in the same way on every machine.
  func power(_ exponent: Int) -> Double { (0..<exponent).reduce(1) { value, _ in value * self } }
}
