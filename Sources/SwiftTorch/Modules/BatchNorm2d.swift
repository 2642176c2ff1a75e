/// Normalises each channel over the batch and the positions of the image (`nn.BatchNorm2d`).
///
/// Training mode uses the batch's statistics and updates the running statistics. Evaluation mode uses the running statistics.
public final class BatchNorm2d: Module, HookableLayer {
  public let weight: Parameter
  public let bias: Parameter
  public let runningMean: Buffer
  public let runningVariance: Buffer
  public let batchesTracked: Buffer
  public let epsilon: Double
  /// The weight of the current batch in the running statistics. Nil makes them the mean over all batches since the last reset.
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

  /// Sets the running mean to 0, the running variance to 1 and the batch count to 0 (`reset_running_stats()`).
  public func resetStatistics() {
    withNoGrad {
      runningMean.value.zeroInPlace()
      runningVariance.value.fillInPlace(1)
      batchesTracked.value.zeroInPlace()
    }
  }

  /// Normalises images [N, channels, H, W].
  public func callAsFunction(_ input: Tensor) -> Tensor {
    if isTraining { withNoGrad { _ = batchesTracked.value.addInPlace(Tensor(1).to(batchesTracked.value.device)) } }
    // Reading the count waits for the device, so the code reads it only when the factor depends on it.
    let factor = momentum ?? (isTraining ? 1 / batchesTracked.value.item() : 0)
    let output = Op.batchNorm(
      .tensor(input), .tensor(weight.value), .tensor(bias.value), .tensor(runningMean.value), .tensor(runningVariance.value),
      .bool(isTraining), .double(factor), .double(epsilon), .bool(true))
    return forwardHook?(input, output) ?? output
  }
}
