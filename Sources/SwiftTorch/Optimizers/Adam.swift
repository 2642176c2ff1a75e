/// Adam with the update rule of `torch.optim.Adam`. The gradient includes the weight decay.
public final class Adam: Optimizer {
  public var learningRate: Double
  public let betas: (Double, Double)
  public let epsilon: Double
  public let weightDecay: Double
  public let parameters: [Parameter]
  private var first: [Tensor?]
  private var second: [Tensor?]
  private var steps: [Int]

  public init(
    _ parameters: [Parameter], learningRate: Double = 1e-3, betas: (Double, Double) = (0.9, 0.999), epsilon: Double = 1e-8,
    weightDecay: Double = 0
  ) {
    self.parameters = parameters
    self.learningRate = learningRate
    self.betas = betas
    self.epsilon = epsilon
    self.weightDecay = weightDecay
    first = Array(repeating: nil, count: parameters.count)
    second = first
    steps = Array(repeating: 0, count: parameters.count)
  }

  public func step() {
    withNoGrad {
      for (i, parameter) in parameters.enumerated() {
        let weight = parameter.value
        guard var gradient = weight.grad else { continue }
        if weightDecay != 0 { gradient = gradient.adding(weight, alpha: weightDecay) }
        let m = first[i] ?? .zeros(like: weight)
        let v = second[i] ?? .zeros(like: weight)
        first[i] = m
        second[i] = v
        steps[i] += 1
        m.interpolateInPlace(to: gradient, weight: 1 - betas.0)
        v.multiplyInPlace(by: betas.1).addProductInPlace(gradient, gradient, value: 1 - betas.1)
        let correction1 = 1 - betas.0.power(steps[i])
        let correction2 = (1 - betas.1.power(steps[i])).squareRoot()
        weight.addQuotientInPlace(m, (v.sqrt() / correction2) + epsilon, value: -learningRate / correction1)
      }
    }
  }

  public var state: NamedTensors {
    parameters.indices.flatMap { i -> NamedTensors in
      guard let m = first[i], let v = second[i] else { return [] }
      return [("first.\(i)", m), ("second.\(i)", v), ("step.\(i)", Tensor(steps[i]))]
    }
  }

  public func restore(_ state: NamedTensors) throws(TorchError) {
    let (m, v) = (try slots("first", in: state), try slots("second", in: state))
    let counts = state.byName
    var restored = steps
    for i in parameters.indices {
      guard (m[i] == nil) == (v[i] == nil) else {
        throw TorchError(.value, "the optimizer's state lacks a moment of parameter \(i)")
      }
      guard let count = counts["step.\(i)"] else {
        if m[i] == nil { continue }
        throw TorchError(.value, "the optimizer's state lacks step.\(i)")
      }
      guard count.count == 1 else {
        throw TorchError(.value, "the optimizer's step.\(i) has shape \(count.shape); expected a number")
      }
      restored[i] = Int(count.item())
    }
    first = m.map { $0?.cloned() }
    second = v.map { $0?.cloned() }
    steps = restored
  }
}
