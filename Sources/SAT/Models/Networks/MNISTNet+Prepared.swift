public import SwiftTorch

extension MNISTNet: Preparable {
  /// - Parameter inputShape: [1, 28, 28].
  public func prepared(inputShape: [Int], dtype: DType?) -> (Tensor) -> Tensor {
    let dtype = dtype ?? fc.weight.value.dtype
    let conv1 = conv1.prepared(inputShape: inputShape, dtype: dtype)
    let conv2 = conv2.prepared(inputShape: [64, 14, 14], dtype: dtype)
    let conv3 = conv3.prepared(inputShape: [128, 8, 8], dtype: dtype)
    let fc = fc.fixed(onChannelsLast: 128, dtype)
    return { input in
      var x = conv1(input.to(dtype)).reluInPlace()
      x = conv2(x).reluInPlace()
      return fc(conv3(x).reluInPlace())
    }
  }
}
