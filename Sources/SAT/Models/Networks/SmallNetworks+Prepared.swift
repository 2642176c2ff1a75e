public import SwiftTorch

// The prepared small networks keep features with their channels last. They apply a ReLU after a max pooling instead of before it,
// because the result is the same and only a quarter of the values remain. For a large batch, the output of a convolution exceeds
// the processor's cache before the pooling shrinks it, so the batch passes these layers in parts.

extension MNISTNet: Preparable {
  /// - Parameter inputShape: [1, 28, 28].
  public func prepared(inputShape: [Int], dtype: DType?) -> (Tensor) -> Tensor {
    let dtype = dtype ?? fc.weight.value.dtype
    let conv1 = conv1.prepared(inputShape: inputShape, dtype: dtype)
    let conv2 = conv2.prepared(inputShape: [64, 14, 14], dtype: dtype)
    let conv3 = conv3.prepared(inputShape: [128, 8, 8], dtype: dtype)
    let fc = fc.prepared(onChannelsLast: 128, dtype: dtype)
    return { input in
      var x = conv1(input.to(dtype)).reluInPlace()
      x = conv2(x).reluInPlace()
      return fc(conv3(x).reluInPlace())
    }
  }
}

extension LeNet5: Preparable {
  /// - Parameter inputShape: [1, 28, 28].
  public func prepared(inputShape: [Int], dtype: DType?) -> (Tensor) -> Tensor {
    let dtype = dtype ?? linear1.weight.value.dtype
    let conv1 = conv1.prepared(inputShape: inputShape, dtype: dtype)
    let conv2 = conv2.prepared(inputShape: [32, 14, 14], dtype: dtype)
    let (linear1, linear2) = (linear1.prepared(onChannelsLast: 64, dtype: dtype), linear2.prepared(dtype: dtype))
    return { input in
      let features = input.to(dtype).inParts { conv2(conv1($0).halved().reluInPlace()).halved().reluInPlace() }
      return linear2(linear1(features).reluInPlace())
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
    let (fc1, fc2, fc3) = (
      classifier.fc1.prepared(onChannelsLast: 64, dtype: dtype), classifier.fc2.prepared(dtype: dtype),
      classifier.fc3.prepared(dtype: dtype)
    )
    return { input in
      let features = input.to(dtype).inParts { part in
        let x = conv2(conv1(part).reluInPlace()).halved().reluInPlace()
        return conv4(conv3(x).reluInPlace()).halved().reluInPlace()
      }
      return fc3(fc2(fc1(features).reluInPlace()).reluInPlace())
    }
  }
}

extension CNNA: Preparable {
  /// - Parameter inputShape: [3, 32, 32] or [1, 28, 28].
  public func prepared(inputShape: [Int], dtype: DType?) -> (Tensor) -> Tensor {
    let dtype = dtype ?? linear1.weight.value.dtype
    let conv1 = conv1.prepared(inputShape: inputShape, dtype: dtype)
    let conv2 = conv2.prepared(inputShape: [16, inputShape[1] / 2, inputShape[2] / 2], dtype: dtype)
    let (linear1, linear2) = (linear1.prepared(onChannelsLast: 32, dtype: dtype), linear2.prepared(dtype: dtype))
    return { input in
      let x = conv2(conv1(input.to(dtype)).reluInPlace()).reluInPlace()
      return linear2(linear1(x).reluInPlace())
    }
  }
}

extension Linear {
  /// Returns the layer with a copy of its weights that gets no gradients.
  func prepared(dtype: DType) -> (Tensor) -> Tensor {
    let (weight, bias) = withNoGrad {
      (self.weight.value.detached().to(dtype).cloned(), self.bias?.value.detached().to(dtype).cloned())
    }
    return { $0.linear(weight: weight, bias: bias) }
  }

  /// Returns the layer with a copy of its weights, for features [N, channels, H, W] in channels-last memory.
  ///
  /// It reorders the weights once instead of the features in every batch.
  func prepared(onChannelsLast channels: Int, dtype: DType) -> (Tensor) -> Tensor {
    let outputs = weight.value.size(0)
    let ordered = withNoGrad {
      weight.value.detached().to(dtype).reshaped(to: [outputs, channels, -1]).transposed(1, 2).reshaped(to: [outputs, -1])
    }
    let bias = bias?.value.detached().to(dtype).cloned()
    let layer = PreparedLinear(weight: ordered, bias: bias)
    return { layer($0.permuted(0, 2, 3, 1).flattened(from: 1)) }
  }
}

extension Tensor {
  /// Applies `body` to parts of the batch [N, …] of at most `most` samples and joins the results.
  ///
  /// Measured with LeNet5 and 1 MiB of cache per core: parts of 32 took 0.8 times the time for forward and gradient of 200 samples.
  fileprivate func inParts(of most: Int = 32, _ body: (Tensor) -> Tensor) -> Tensor {
    let count = size(0)
    guard count > most else { return body(self) }
    let parts = (count + most - 1) / most
    return Tensor.concatenated(split(size: (count + parts - 1) / parts).map(body))
  }

  /// Returns `maxPool2d(2)` of features [N, C, H, W] in channels-last memory.
  ///
  /// Without gradients the positions of the maxima are unnecessary, and two maximum operations take a third of the time.
  fileprivate func halved() -> Tensor {
    let (n, c, h, w) = (size(0), size(1), size(2), size(3))
    guard !(isGradEnabled && requiresGrad), h % 2 == 0, w % 2 == 0, device == .cpu else { return maxPool2d(2) }
    let rows = permuted(0, 2, 3, 1).reshaped(to: n * h / 2, 2, w * c)
    let columns = rows[.all, 0].maximum(rows[.all, 1]).reshaped(to: n * h / 2 * w / 2, 2, c)
    return columns[.all, 0].maximum(columns[.all, 1]).reshaped(to: n, h / 2, w / 2, c).permuted(0, 3, 1, 2)
  }
}
