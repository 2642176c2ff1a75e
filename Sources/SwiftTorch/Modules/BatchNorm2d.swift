/// Normalisation of each channel over batch and space (`nn.BatchNorm2d`).
///
/// Training mode uses the batch's statistics and moves the running ones; evaluation mode uses the running ones.
public final class BatchNorm2d: Module, HookableLayer {
  public let weight: Parameter
  public let bias: Parameter
  public let runningMean: Buffer
  public let runningVariance: Buffer
  public let batchesTracked: Buffer
  public let epsilon: Double
  /// How far a batch moves the running statistics; nil makes them the mean over all batches since they were reset.
  public var momentum: Double?
  public var forwardHook: ForwardHook?

  public override class var stateNames: [String: String] {
    ["runningMean": "running_mean", "runningVariance": "running_var", "batchesTracked": "num_batches_tracked"]
  }

  public init(_ channels: Int, epsilon: Double = 1e-5, momentum: Double? = 0.1) {
    weight = Parameter(.ones(channels))
    bias = Parameter(.zeros(channels))
    runningMean = Buffer(.zeros(channels))
    runningVariance = Buffer(.ones(channels))
    batchesTracked = Buffer(Tensor(0))
    self.epsilon = epsilon
    self.momentum = momentum
  }

  /// `reset_running_stats()`.
  public func resetStatistics() {
    withNoGrad {
      runningMean.value.zeroInPlace()
      runningVariance.value.fillInPlace(1)
      batchesTracked.value.zeroInPlace()
    }
  }

  /// - Parameter input: [N, channels, H, W].
  public func callAsFunction(_ input: Tensor) -> Tensor {
    if isTraining { withNoGrad { _ = batchesTracked.value.addInPlace(Tensor(1).to(batchesTracked.value.device)) } }
    // The count is read back from the device only where it decides the factor.
    let factor = momentum ?? (isTraining ? 1 / batchesTracked.value.item() : 0)
    let output = Op.batchNorm(
      .tensor(input), .tensor(weight.value), .tensor(bias.value), .tensor(runningMean.value), .tensor(runningVariance.value),
      .bool(isTraining), .double(factor), .double(epsilon), .bool(true))
    return forwardHook?(input, output) ?? output
  }
}
