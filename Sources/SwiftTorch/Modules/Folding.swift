// Moves factors and shifts of channels into the weights of a convolution, for networks with fixed weights. The arithmetic runs in
// double precision, so it adds only the rounding of its result. Autograd does not record it.

extension BatchNorm2d {
  /// The layer in evaluation mode as scale · x + shift. Both are float64 with one value per channel.
  public var scaleAndShift: (scale: Tensor, shift: Tensor) {
    withNoGrad {
      let scale = weight.value.detached().to(.float64) / (runningVariance.value.to(.float64) + epsilon).sqrt()
      return (scale, bias.value.detached().to(.float64) - runningMean.value.to(.float64) * scale)
    }
  }
}

extension Conv2d {
  /// Returns one convolution that equals this one followed by `norm` in evaluation mode.
  public func followed(by norm: BatchNorm2d) -> Conv2d {
    let (scale, shift) = norm.scaleAndShift
    return withNoGrad {
      let weight = self.weight.value.detached().to(.float64) * scale.reshaped(to: -1, 1, 1, 1)
      let bias = self.bias.map { $0.value.detached().to(.float64) * scale + shift } ?? shift
      return replacing(weight: weight, bias: bias)
    }
  }

  /// Returns the convolution that first multiplies each input channel by a factor. The factors are [inputs].
  public func scalingInputs(by factors: Tensor) -> Conv2d {
    require(
      groups == 1 && factors.shape == [weight.value.size(1)],
      "scalingInputs: factors \(factors.shape) for weights \(weight.value.shape)")
    return withNoGrad {
      replacing(
        weight: weight.value.detached().to(.float64) * factors.to(.float64).reshaped(to: 1, -1, 1, 1), bias: bias?.value.detached())
    }
  }

  /// Returns the convolution that adds a number to each output channel. The numbers are [outputs].
  public func addingToOutputs(_ shift: Tensor) -> Conv2d {
    withNoGrad {
      let shift = shift.to(.float64)
      let sum = bias.map { $0.value.detached().to(.float64) + shift } ?? shift
      return replacing(weight: weight.value.detached(), bias: sum)
    }
  }

  private func replacing(weight new: Tensor, bias: Tensor?) -> Conv2d {
    let dtype = weight.value.dtype
    return Conv2d(
      weight: new.to(dtype), bias: bias?.to(dtype), stride: stride, padding: padding, dilation: dilation, groups: groups)
  }

  /// Returns the shape [C, H, W] of the output for an input of shape [C, H, W].
  public func outputShape(of inputShape: [Int]) -> [Int] {
    let reach = dilation * (weight.value.size(2) - 1) + 1
    return [weight.value.size(0)] + inputShape.suffix(2).map { ($0 + 2 * padding - reach) / stride + 1 }
  }
}
