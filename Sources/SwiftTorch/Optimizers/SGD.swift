/// Stochastic gradient descent with the update rule of `torch.optim.SGD`.
public final class SGD: Optimizer {
  public var learningRate: Double
  public let momentum: Double
  public let dampening: Double
  public let weightDecay: Double
  public let nesterov: Bool
  public let parameters: [Parameter]
  private var velocity: [Tensor?]

  public init(
    _ parameters: [Parameter], learningRate: Double, momentum: Double = 0, dampening: Double = 0, weightDecay: Double = 0,
    nesterov: Bool = false
  ) {
    require(!nesterov || (momentum > 0 && dampening == 0), "SGD: Nesterov needs a momentum and no dampening")
    self.parameters = parameters
    self.learningRate = learningRate
    self.momentum = momentum
    self.dampening = dampening
    self.weightDecay = weightDecay
    self.nesterov = nesterov
    velocity = Array(repeating: nil, count: parameters.count)
  }

  public func step() {
    withNoGrad {
      for (i, parameter) in parameters.enumerated() {
        let weight = parameter.value
        guard var update = weight.grad else { continue }
        if weightDecay != 0 { update = update.adding(weight, alpha: weightDecay) }
        if momentum != 0 {
          if let velocity = velocity[i] {
            velocity.multiplyInPlace(by: momentum).addInPlace(update, alpha: 1 - dampening)
          } else {
            velocity[i] = update.cloned()
          }
          update = nesterov ? update.adding(velocity[i]!, alpha: momentum) : velocity[i]!
        }
        weight.addInPlace(update, alpha: -learningRate)
      }
    }
  }

  public var state: NamedTensors { velocity.enumerated().compactMap { i, tensor in tensor.map { ("momentum.\(i)", $0) } } }

  public func restore(_ state: NamedTensors) throws(TorchError) { velocity = try slots("momentum", in: state).map { $0?.cloned() } }
}
