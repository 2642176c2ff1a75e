/// Computes a convolution of few input channels by a convolution of many channels with a kernel of one column.
///
/// The values side by side under the kernel, in `stride` rows of every channel, become the channels. The new convolution has
/// inputs · stride · kernel channels and a kernel of ceil(kernel / stride) rows. A CPU runs it at full speed, but one or three
/// channels leave most of a vector register empty. Every output is the same sum of the same products.
struct RowUnfoldedConvolution {
  private let kernel: Int
  private let stride: Int
  private let padding: Int
  /// The reordered weights, [outputs, inputs · stride · kernel, ceil(kernel / stride), 1], channels last.
  private let weight: Tensor
  private let bias: Tensor?

  static func fits(_ layer: Conv2d) -> Bool { layer.dilation == 1 && layer.groups == 1 }

  /// Copies the weights of a layer for which `fits` returns true, in the dtype of the computation.
  init(_ layer: Conv2d, dtype: DType? = nil) {
    let original = layer.weight.value.detached().to(dtype ?? layer.weight.value.dtype)
    let bias = layer.bias?.value.detached().to(original.dtype)
    self = withNoGrad { Self(layer, weight: original.cloned(), bias: bias?.cloned()) }
  }

  /// Prepares one pass that also differentiates with respect to the layer's own weights.
  init(differentiating layer: Conv2d) { self.init(layer, weight: layer.weight.value, bias: layer.bias?.value) }

  private init(_ layer: Conv2d, weight: Tensor, bias: Tensor?) {
    let (outputs, inputs) = (weight.size(0), weight.size(1))
    kernel = weight.size(2)
    stride = layer.stride
    padding = layer.padding
    self.bias = bias
    let bands = (kernel + stride - 1) / stride
    self.weight = weight.padded([0, 0, 0, bands * stride - kernel])
      .reshaped(to: [outputs, inputs, bands, stride, kernel]).permuted(0, 2, 1, 3, 4)
      .reshaped(to: [outputs, bands, 1, inputs * stride * kernel]).contiguous().permuted(0, 3, 1, 2)
  }

  /// Convolves images [N, inputs, H, W] to [N, outputs, H', W'] in channels-last order.
  func callAsFunction(_ input: Tensor) -> Tensor {
    let shape = input.shape
    require(shape.count == 4, "a convolution takes images [N, C, H, W], not an input of shape \(shape)")
    let (n, channels) = (shape[0], shape[1])
    let outputs = shape.suffix(2).map { ($0 + 2 * padding - kernel) / stride + 1 }
    if stride == 1 { return shifted(input, width: outputs[1]).conv2d(weight: weight, bias: bias, padding: [padding, 0]) }
    let bands = outputs[0] - 1 + (kernel + stride - 1) / stride
    let width = (outputs[1] - 1) * stride + kernel
    // Negative amounts drop the last rows and columns, because the kernel does not reach them.
    let padded = input.padded([padding, width - shape[3] - padding, padding, bands * stride - shape[2] - padding])
      .reshaped(to: [n, channels, bands, stride, width])
    return Op.unfold(.tensor(padded), .int(4), .int(kernel), .int(stride))
      .permuted(0, 2, 4, 1, 3, 5).reshaped(to: [n, bands, outputs[1], channels * stride * kernel])
      .permuted(0, 3, 1, 2).conv2d(weight: weight, bias: bias)
  }

  /// Stacks copies of the input that begin 0, 1, … columns further to the right, as channels: [N, inputs · kernel, H, width].
  ///
  /// With stride 1 this is the unfolding, in channels-last order. It and its gradient are plain copies.
  private func shifted(_ input: Tensor, width: Int) -> Tensor {
    let padded = input.padded([padding, padding])
    let copies = (0..<input.size(1)).flatMap { channel in (0..<kernel).map { padded[.all, channel, .all, $0..<$0 + width] } }
    return Tensor.stacked(copies, dim: 3).permuted(0, 3, 1, 2)
  }
}
