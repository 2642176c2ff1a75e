/// How a loss over samples becomes one number, PyTorch's `reduction`.
public enum Reduction: Int, Sendable {
  /// One loss per sample.
  case none = 0
  case mean = 1
  case sum = 2
}

/// The functions of `torch.nn.functional`.
extension Tensor {
  /// max(x, 0).
  public func relu() -> Tensor { Op.relu(self) }
  /// max(x, 0) written over this tensor (`F.relu(inplace=True)`), for a value nobody else reads.
  public func reluInPlace() -> Tensor { Op.reluInPlace(self) }
  public func leakyRelu(negativeSlope: Double = 0.01) -> Tensor { Op.leakyRelu(.tensor(self), .double(negativeSlope)) }
  public func elu(alpha: Double = 1) -> Tensor { Op.elu(.tensor(self), .double(alpha)) }
  public func gelu() -> Tensor { Op.gelu(self) }
  public func silu() -> Tensor { Op.silu(self) }
  public func softplus() -> Tensor { Op.softplus(self) }
  public func softmax(dim: Int) -> Tensor { Op.softmax(.tensor(self), .int(dim)) }
  public func logSoftmax(dim: Int) -> Tensor { Op.logSoftmax(.tensor(self), .int(dim)) }

  /// `F.linear`: x Wᵀ + b with W of shape [out, in].
  public func linear(weight: Tensor, bias: Tensor? = nil) -> Tensor {
    Op.linear(.tensor(self), .tensor(weight), .optional(bias))
  }

  /// A weight [out, in] in the order of memory that oneDNN prefers (`torch.ops.mkldnn._reorder_linear_weight`), good for
  /// `linear(packedWeight:addingTo:)` alone.
  func packedForLinear() -> Tensor { Op.packLinearWeight(.tensor(self), .none) }

  /// x Wᵀ + `other` [N, out] with a weight that was packed, outside autograd (`torch.ops.mkldnn._linear_pointwise`).
  func linear(packedWeight: Tensor, addingTo other: Tensor) -> Tensor {
    Op.packedLinearAdd(.tensor(self), .tensor(other), .tensor(packedWeight), .none, .string("add"))
  }

  /// `F.conv2d` of a [N, C, H, W] tensor with a [out, in / groups, h, w] kernel.
  public func conv2d(
    weight: Tensor, bias: Tensor? = nil, stride: [Int] = [1, 1], padding: [Int] = [0, 0], dilation: [Int] = [1, 1],
    groups: Int = 1
  ) -> Tensor {
    Op.conv2d(
      .tensor(self), .tensor(weight), .optional(bias), .ints(stride), .ints(padding), .ints(dilation), .int(groups))
  }

  /// `F.max_pool2d`.
  public func maxPool2d(_ kernel: Int, stride: Int? = nil, padding: Int = 0) -> Tensor {
    Op.maxPool2d(.tensor(self), .ints([kernel, kernel]), .ints(stride.map { [$0, $0] } ?? []), .ints([padding, padding]))
  }

  /// `F.avg_pool2d`.
  public func averagePool2d(_ kernel: Int, stride: Int? = nil, padding: Int = 0) -> Tensor {
    Op.avgPool2d(.tensor(self), .ints([kernel, kernel]), .ints(stride.map { [$0, $0] } ?? []), .ints([padding, padding]))
  }

  /// `F.adaptive_avg_pool2d` to a square output.
  public func adaptiveAveragePool2d(_ size: Int) -> Tensor { Op.adaptiveAvgPool2d(.tensor(self), .ints([size, size])) }

  /// Zero with probability `p`, the rest scaled by 1 / (1 - p) (`F.dropout`), the mask drawn from `generator`.
  public func dropout(_ p: Double, generator: Generator) -> Tensor {
    require((0..<1).contains(p), "dropout: p is \(p); expected 0 <= p < 1")
    let mask = Tensor.empty(shape, dtype: dtype, device: generator.device).bernoulliInPlace(1 - p, generator: generator)
    return self * mask.multiplyInPlace(by: 1 / (1 - p)).to(device)
  }

  /// Images [N, C, H, W] in another size, float or uint8 (`F.interpolate(mode="bilinear", antialias=True)`).
  public func resizedAntialiased(height: Int, width: Int) -> Tensor {
    Op.upsampleBilinearAntialiased(.tensor(self), .ints([height, width]), .bool(false), .none, .none)
  }

  // MARK: Losses

  /// Cross-entropy of logits [N, C] and int64 labels [N] (`F.cross_entropy`).
  public func crossEntropy(_ labels: Tensor, reduction: Reduction = .mean, labelSmoothing: Double = 0) -> Tensor {
    Op.crossEntropy(
      .tensor(self), .tensor(labels), .none, .int(reduction.rawValue), .int(-100), .double(labelSmoothing))
  }

  /// Negative log-likelihood of log-probabilities [N, C] and int64 labels [N] (`F.nll_loss`).
  public func negativeLogLikelihood(_ labels: Tensor, reduction: Reduction = .mean) -> Tensor {
    Op.nll(.tensor(self), .tensor(labels), .none, .int(reduction.rawValue))
  }

  /// KL(target ‖ exp(self)) of log-probabilities and a target of probabilities, or of log-probabilities with `logTarget`
  /// (`F.kl_div`). `.mean` divides by the number of elements, as PyTorch's "mean" does; divide a `.sum` by the batch for
  /// "batchmean".
  public func klDivergence(from target: Tensor, reduction: Reduction = .sum, logTarget: Bool = false) -> Tensor {
    Op.klDiv(.tensor(self), .tensor(target), .int(reduction.rawValue), .bool(logTarget))
  }

  /// Squared error (`F.mse_loss`).
  public func meanSquaredError(_ target: Tensor, reduction: Reduction = .mean) -> Tensor {
    Op.mse(.tensor(self), .tensor(target), .int(reduction.rawValue))
  }
}
