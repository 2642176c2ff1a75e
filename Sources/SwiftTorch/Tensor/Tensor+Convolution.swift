/// The pieces of a 2-D convolution, for passes of one's own through a layer.
extension Tensor {
  /// The windows a `kernel` x `kernel` convolution reads, [N, C · kernel², positions] of [N, C, H, W] (`F.unfold`).
  public func unfolded(kernel: Int, stride: Int = 1, padding: Int = 0, dilation: Int = 1) -> Tensor {
    Op.im2col(
      .tensor(self), .ints([kernel, kernel]), .ints([dilation, dilation]), .ints([padding, padding]), .ints([stride, stride]))
  }

  /// The sum of windows [N, C · kernel², positions] at their places in [N, C, height, width] (`F.fold`).
  public func folded(height: Int, width: Int, kernel: Int, stride: Int = 1, padding: Int = 0, dilation: Int = 1) -> Tensor {
    Op.col2im(
      .tensor(self), .ints([height, width]), .ints([kernel, kernel]), .ints([dilation, dilation]), .ints([padding, padding]),
      .ints([stride, stride]))
  }

  /// The gradients with respect to weight and bias of a convolution whose output has the gradient `self`
  /// (`torch.nn.grad.conv2d_weight`).
  ///
  /// - Parameter weight: of the weight's shape and layout; its values are not read.
  public func conv2dParameterGradients(
    input: Tensor, weight: Tensor, stride: Int = 1, padding: Int = 0, dilation: Int = 1, groups: Int = 1
  ) -> (weight: Tensor, bias: Tensor) {
    let results = Op.convolutionBackward.results(
      .tensor(self), .tensor(input), .tensor(weight), .ints([weight.size(0)]), .ints([stride, stride]),
      .ints([padding, padding]), .ints([dilation, dilation]), .bool(false), .ints([0, 0]), .int(groups),
      .bools([false, true, true]))
    return (results[1]!, results[2]!)
  }
}
