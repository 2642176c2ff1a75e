/// Arithmetic that moves per-channel factors and shifts into the weights of a convolution, for networks whose weights do not change.
/// It is done in double precision, so that only the rounding of the result is added; nothing of it is recorded for autograd.
extension BatchNorm2d {
  /// Evaluation mode as scale · x + shift, one value a channel, float64.
  public var scaleAndShift: (scale: Tensor, shift: Tensor) {
    withNoGrad {
      let scale = weight.value.detached().to(.float64) / (runningVariance.value.to(.float64) + epsilon).sqrt()
      return (scale, bias.value.detached().to(.float64) - runningMean.value.to(.float64) * scale)
    }
  }
}

extension Conv2d {
  /// This convolution and the BatchNorm behind it, in evaluation mode, as one convolution.
  public func followed(by norm: BatchNorm2d) -> Conv2d {
    let (scale, shift) = norm.scaleAndShift
    return withNoGrad {
      let weight = self.weight.value.detached().to(.float64) * scale.reshaped(to: -1, 1, 1, 1)
      let bias = self.bias.map { $0.value.detached().to(.float64) * scale + shift } ?? shift
      return replacing(weight: weight, bias: bias)
    }
  }

  /// This convolution of inputs multiplied by one factor a channel.
  public func scalingInputs(by factors: Tensor) -> Conv2d {
    require(groups == 1 && factors.shape == [weight.value.size(1)], "scalingInputs: \(factors.shape) factors for \(weight.value.shape)")
    return withNoGrad {
      replacing(weight: weight.value.detached().to(.float64) * factors.to(.float64).reshaped(to: 1, -1, 1, 1), bias: bias?.value.detached())
    }
  }

  /// This convolution with one number a channel added to its outputs.
  public func addingToOutputs(_ shift: Tensor) -> Conv2d {
    withNoGrad {
      let shift = shift.to(.float64)
      let sum = bias.map { $0.value.detached().to(.float64) + shift } ?? shift
      return replacing(weight: weight.value.detached(), bias: sum)
    }
  }

  private func replacing(weight new: Tensor, bias: Tensor?) -> Conv2d {
    let dtype = weight.value.dtype
    return Conv2d(weight: new.to(dtype), bias: bias?.to(dtype), stride: stride, padding: padding, dilation: dilation, groups: groups)
  }

  /// [C, H, W] of the output for an input of such a shape.
  public func outputShape(of inputShape: [Int]) -> [Int] {
    let reach = dilation * (weight.value.size(2) - 1) + 1
    return [weight.value.size(0)] + inputShape.suffix(2).map { ($0 + 2 * padding - reach) / stride + 1 }
  }
}
