/// Changes parameters along the gradients that `backward()` left in them (`torch.optim.Optimizer`).
public protocol Optimizer: AnyObject {
  /// Set by a learning-rate schedule between steps.
  var learningRate: Double { get set }
  var parameters: [Parameter] { get }

  /// One update. A parameter without a gradient is left alone.
  func step()

  /// Everything a later `step()` depends on besides the parameters, by name, for a checkpoint.
  var state: NamedTensors { get }

  /// Goes on from a saved `state`.
  ///
  /// - Throws: `TorchError` when it is not the state of such an optimizer over such parameters; nothing has been changed then.
  func restore(_ state: NamedTensors) throws(TorchError)
}

extension Optimizer {
  /// Drops the gradients (`zero_grad()`).
  public func clearGradients() {
    for parameter in parameters { parameter.value.grad = nil }
  }

  /// Scales all gradients so that their joint L2 norm is at most `maximum`, and returns the norm before
  /// (`clip_grad_norm_`).
  @discardableResult
  public func clipGradientNorm(to maximum: Double) -> Double {
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

  /// Checks that saved per-parameter tensors called `prefix.i` are there with the parameters' shapes.
  func slots(_ prefix: String, in state: NamedTensors) throws(TorchError) -> [Tensor?] {
    let given = Dictionary(state.map { ($0.name, $0.tensor) }, uniquingKeysWith: { first, _ in first })
    var found: [Tensor?] = []
    for (i, parameter) in parameters.enumerated() {
      let tensor = given["\(prefix).\(i)"]
      if let tensor, tensor.shape != parameter.value.shape {
        throw TorchError(
          .value, "the optimizer's \(prefix).\(i) has shape \(tensor.shape); expected \(parameter.value.shape)")
      }
      found.append(tensor.map { $0.to(parameter.value.device) })
    }
    return found
  }
}
