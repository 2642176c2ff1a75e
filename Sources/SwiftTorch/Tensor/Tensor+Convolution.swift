// The pieces of a 2-D convolution, for code that runs its own passes through a layer.
extension Tensor {
  /// Returns the windows that a `kernel` x `kernel` convolution reads from [N, C, H, W] (`F.unfold`).
  ///
  /// - Returns: [N, C · kernel², positions].
  public func unfolded(kernel: Int, stride: Int = 1, padding: Int = 0, dilation: Int = 1) -> Tensor {
    Op.im2col(
      .tensor(self), .ints([kernel, kernel]), .ints([dilation, dilation]), .ints([padding, padding]), .ints([stride, stride]))
  }

  /// Adds windows [N, C · kernel², positions] at their places in an image (`F.fold`).
  ///
  /// - Returns: [N, C, height, width].
  public func folded(height: Int, width: Int, kernel: Int, stride: Int = 1, padding: Int = 0, dilation: Int = 1) -> Tensor {
    Op.col2im(
      .tensor(self), .ints([height, width]), .ints([kernel, kernel]), .ints([dilation, dilation]), .ints([padding, padding]),
      .ints([stride, stride]))
  }

  /// Computes a convolution's gradients with respect to its weight and bias, from the gradient `self` of its output.
  ///
  /// PyTorch: `torch.nn.grad.conv2d_weight`.
  ///
  /// - Parameter weight: a tensor with the shape and layout of the weight. The function does not read its values.
  public func conv2dParameterGradients(
    input: Tensor, weight: Tensor, stride: Int = 1, padding: Int = 0, dilation: Int = 1, groups: Int = 1
  ) -> (weight: Tensor, bias: Tensor) {
    let results = Op.convolutionBackward.results(
      .tensor(self), .tensor(input), .tensor(weight), .ints([weight.size(0)]), .ints([stride, stride]), .ints([padding, padding]),
      .ints([dilation, dilation]), .bool(false), .ints([0, 0]), .int(groups), .bools([false, true, true]))
    return (results[1]!, results[2]!)
  }
}
