/// The way in which the losses of samples become one number, PyTorch's `reduction`.
public enum Reduction: Int, Sendable {
  /// Keeps one loss per sample.
  case none = 0
  case mean = 1
  case sum = 2
}

// The functions of `torch.nn.functional`.
extension Tensor {
  /// Returns max(x, 0) (`F.relu`).
  public func relu() -> Tensor { Op.relu(self) }
  /// Overwrites this tensor with max(x, 0) (`F.relu(inplace=True)`). No other code may need the old values.
  public func reluInPlace() -> Tensor { Op.reluInPlace(self) }
  public func leakyRelu(negativeSlope: Double = 0.01) -> Tensor { Op.leakyRelu(.tensor(self), .double(negativeSlope)) }
  public func elu(alpha: Double = 1) -> Tensor { Op.elu(.tensor(self), .double(alpha)) }
  public func gelu() -> Tensor { Op.gelu(self) }
  public func silu() -> Tensor { Op.silu(self) }
  public func softplus() -> Tensor { Op.softplus(self) }
  public func softmax(dim: Int) -> Tensor { Op.softmax(.tensor(self), .int(dim)) }
  public func logSoftmax(dim: Int) -> Tensor { Op.logSoftmax(.tensor(self), .int(dim)) }

  /// Returns x Wᵀ + b with W of shape [out, in] (`F.linear`).
  public func linear(weight: Tensor, bias: Tensor? = nil) -> Tensor { Op.linear(.tensor(self), .tensor(weight), .optional(bias)) }

  /// Returns a weight [out, in] in oneDNN's order for `linear(packedWeight:addingTo:)` (`mkldnn._reorder_linear_weight`).
  func packedForLinear() -> Tensor { Op.packLinearWeight(.tensor(self), .none) }

  /// Returns x Wᵀ + `other` [N, out] with a packed weight (`torch.ops.mkldnn._linear_pointwise`). Autograd does not support it.
  func linear(packedWeight: Tensor, addingTo other: Tensor) -> Tensor {
    Op.packedLinearAdd(.tensor(self), .tensor(other), .tensor(packedWeight), .none, .string("add"))
  }

  /// Convolves [N, C, H, W] with a kernel [out, in / groups, h, w] (`F.conv2d`).
  public func conv2d(
    weight: Tensor, bias: Tensor? = nil, stride: [Int] = [1, 1], padding: [Int] = [0, 0], dilation: [Int] = [1, 1], groups: Int = 1
  ) -> Tensor {
    Op.conv2d(.tensor(self), .tensor(weight), .optional(bias), .ints(stride), .ints(padding), .ints(dilation), .int(groups))
  }

  /// Returns the windows [N, C · kernel², positions] that a `kernel` x `kernel` convolution reads from [N, C, H, W] (`F.unfold`).
  public func unfolded(kernel: Int, stride: Int = 1, padding: Int = 0, dilation: Int = 1) -> Tensor {
    Op.im2col(
      .tensor(self), .ints([kernel, kernel]), .ints([dilation, dilation]), .ints([padding, padding]), .ints([stride, stride]))
  }

  /// Adds windows [N, C · kernel², positions] at their places in an image [N, C, height, width] (`F.fold`).
  public func folded(height: Int, width: Int, kernel: Int, stride: Int = 1, padding: Int = 0, dilation: Int = 1) -> Tensor {
    Op.col2im(
      .tensor(self), .ints([height, width]), .ints([kernel, kernel]), .ints([dilation, dilation]), .ints([padding, padding]),
      .ints([stride, stride]))
  }

  /// Computes a convolution's gradients for its parameters from the gradient `self` of its output (`nn.grad.conv2d_weight`).
  ///
  /// The function reads the shape and layout of `weight`, but not its values.
  public func conv2dParameterGradients(
    input: Tensor, weight: Tensor, stride: Int = 1, padding: Int = 0, dilation: Int = 1, groups: Int = 1
  ) -> (weight: Tensor, bias: Tensor) {
    let results = Op.convolutionBackward.results(
      .tensor(self), .tensor(input), .tensor(weight), .ints([weight.size(0)]), .ints([stride, stride]), .ints([padding, padding]),
      .ints([dilation, dilation]), .bool(false), .ints([0, 0]), .int(groups), .bools([false, true, true]))
    return (results[1]!, results[2]!)
  }

  /// Takes the maximum of each square window (`F.max_pool2d`).
  public func maxPool2d(_ kernel: Int, stride: Int? = nil, padding: Int = 0) -> Tensor {
    Op.maxPool2d(.tensor(self), .ints([kernel, kernel]), .ints(stride.map { [$0, $0] } ?? []), .ints([padding, padding]))
  }

  /// Takes the mean of each square window (`F.avg_pool2d`).
  public func averagePool2d(_ kernel: Int, stride: Int? = nil, padding: Int = 0) -> Tensor {
    Op.avgPool2d(.tensor(self), .ints([kernel, kernel]), .ints(stride.map { [$0, $0] } ?? []), .ints([padding, padding]))
  }

  /// Averages images down to a square output of `size` x `size` (`F.adaptive_avg_pool2d`).
  public func adaptiveAveragePool2d(_ size: Int) -> Tensor { Op.adaptiveAvgPool2d(.tensor(self), .ints([size, size])) }

  /// Sets elements to zero with probability `p` and scales the others by 1 / (1 - p) (`F.dropout`).
  public func dropout(_ p: Double, generator: Generator) -> Tensor {
    require((0..<1).contains(p), "dropout: p is \(p); expected 0 <= p < 1")
    let mask = Tensor.empty(shape, dtype: dtype, device: generator.device).bernoulliInPlace(1 - p, generator: generator)
    return self * mask.multiplyInPlace(by: 1 / (1 - p)).to(device)
  }

  /// Resizes images [N, C, H, W] of float or uint8 (`F.interpolate(mode="bilinear", antialias=True)`, or "bicubic").
  ///
  /// The bicubic filter overshoots at edges: floats may leave the range of the input.
  public func resizedAntialiased(height: Int, width: Int, bicubic: Bool = false) -> Tensor {
    let filter = bicubic ? Op.upsampleBicubicAntialiased : Op.upsampleBilinearAntialiased
    return filter(.tensor(self), .ints([height, width]), .bool(false), .none, .none)
  }

  // MARK: Losses

  /// Returns the cross-entropy of logits [N, C] and int64 labels [N] (`F.cross_entropy`).
  public func crossEntropy(_ labels: Tensor, reduction: Reduction = .mean, labelSmoothing: Double = 0) -> Tensor {
    Op.crossEntropy(.tensor(self), .tensor(labels), .none, .int(reduction.rawValue), .int(-100), .double(labelSmoothing))
  }

  /// Returns the negative log-likelihood of log-probabilities [N, C] and int64 labels [N] (`F.nll_loss`).
  public func negativeLogLikelihood(_ labels: Tensor, reduction: Reduction = .mean) -> Tensor {
    Op.nll(.tensor(self), .tensor(labels), .none, .int(reduction.rawValue))
  }

  /// Returns KL(target ‖ exp(self)) of log-probabilities (`F.kl_div`). The target holds log-probabilities if `logTarget` is true.
  ///
  /// `.mean` divides by the number of elements, as PyTorch's "mean" does. For "batchmean", divide `.sum` by the size of the batch.
  public func klDivergence(from target: Tensor, reduction: Reduction = .sum, logTarget: Bool = false) -> Tensor {
    Op.klDiv(.tensor(self), .tensor(target), .int(reduction.rawValue), .bool(logTarget))
  }

  /// Returns the squared error (`F.mse_loss`).
  public func meanSquaredError(_ target: Tensor, reduction: Reduction = .mean) -> Tensor {
    Op.mse(.tensor(self), .tensor(target), .int(reduction.rawValue))
  }
}
