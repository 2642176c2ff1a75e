public import SwiftTorch

extension MNISTNet: Preparable {
  /// - Parameter inputShape: [1, 28, 28].
  public func prepared(inputShape: [Int], dtype: DType?) -> (Tensor) -> Tensor {
    let dtype = dtype ?? fc.weight.value.dtype
    let conv1 = conv1.prepared(inputShape: inputShape, dtype: dtype)
    let conv2 = conv2.prepared(inputShape: [64, 14, 14], dtype: dtype)
    let conv3 = conv3.prepared(inputShape: [128, 8, 8], dtype: dtype)
    // The features come out with their channels last; the weights of `fc` are put in that order once instead of every batch.
    let weight = withNoGrad { fc.weight.value.detached().to(dtype).reshaped(to: [-1, 128, 16]).transposed(1, 2).reshaped(to: [-1, 2048]) }
    let bias = fc.bias?.value.detached().to(dtype).cloned()
    return { input in
      var x = conv1(input.to(dtype)).reluInPlace()
      x = conv2(x).reluInPlace()
      x = conv3(x).reluInPlace()
      return x.permuted(0, 2, 3, 1).flattened(from: 1).linear(weight: weight, bias: bias)
    }
  }
}
