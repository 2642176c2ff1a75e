public import SwiftTorch

// The small networks of public robust checkpoints, with features whose channels lie last. Where a ReLU comes before a pooling it is
// applied after it: the largest of four values is the same, and a quarter is left to do.

extension LeNet5: Preparable {
  /// - Parameter inputShape: [1, 28, 28].
  public func prepared(inputShape: [Int], dtype: DType?) -> (Tensor) -> Tensor {
    let dtype = dtype ?? linear1.weight.value.dtype
    let conv1 = conv1.prepared(inputShape: inputShape, dtype: dtype)
    let conv2 = conv2.prepared(inputShape: [32, 14, 14], dtype: dtype)
    let (linear1, linear2) = (linear1.fixed(onChannelsLast: 64, dtype), linear2.fixed(dtype))
    return { input in
      let x = conv1(input.to(dtype)).maxPool2d(2).reluInPlace()
      return linear2(linear1(conv2(x).maxPool2d(2).reluInPlace()).reluInPlace())
    }
  }
}

extension SmallCNN: Preparable {
  /// - Parameter inputShape: [1, 28, 28].
  public func prepared(inputShape: [Int], dtype: DType?) -> (Tensor) -> Tensor {
    let dtype = dtype ?? classifier.fc1.weight.value.dtype
    let features = featureExtractor
    let conv1 = features.conv1.prepared(inputShape: inputShape, dtype: dtype)
    let conv2 = features.conv2.prepared(inputShape: [32, 26, 26], dtype: dtype)
    let conv3 = features.conv3.prepared(inputShape: [32, 12, 12], dtype: dtype)
    let conv4 = features.conv4.prepared(inputShape: [64, 10, 10], dtype: dtype)
    let (fc1, fc2, fc3) = (classifier.fc1.fixed(onChannelsLast: 64, dtype), classifier.fc2.fixed(dtype), classifier.fc3.fixed(dtype))
    return { input in
      var x = conv2(conv1(input.to(dtype)).reluInPlace()).maxPool2d(2).reluInPlace()
      x = conv4(conv3(x).reluInPlace()).maxPool2d(2).reluInPlace()
      return fc3(fc2(fc1(x).reluInPlace()).reluInPlace())
    }
  }
}

extension CNNA: Preparable {
  /// - Parameter inputShape: [3, 32, 32] or [1, 28, 28].
  public func prepared(inputShape: [Int], dtype: DType?) -> (Tensor) -> Tensor {
    let dtype = dtype ?? linear1.weight.value.dtype
    let conv1 = conv1.prepared(inputShape: inputShape, dtype: dtype)
    let conv2 = conv2.prepared(inputShape: [16, inputShape[1] / 2, inputShape[2] / 2], dtype: dtype)
    let (linear1, linear2) = (linear1.fixed(onChannelsLast: 32, dtype), linear2.fixed(dtype))
    return { input in
      let x = conv2(conv1(input.to(dtype)).reluInPlace()).reluInPlace()
      return linear2(linear1(x).reluInPlace())
    }
  }
}

extension Linear {
  /// The layer as it is now, of features [N, channels, H, W] that lie with their channels last: the weights are put in that order
  /// once, instead of the features in every batch.
  func fixed(onChannelsLast channels: Int, _ dtype: DType) -> (Tensor) -> Tensor {
    let outputs = weight.value.size(0)
    let fixed = withNoGrad {
      weight.value.detached().to(dtype).reshaped(to: [outputs, channels, -1]).transposed(1, 2).reshaped(to: [outputs, -1])
    }
    let bias = bias?.value.detached().to(dtype).cloned()
    return { $0.permuted(0, 2, 3, 1).flattened(from: 1).linear(weight: fixed, bias: bias) }
  }
}
