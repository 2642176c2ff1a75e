public import SwiftTorch

/// advertorch's LeNet5 for MNIST (`lenet5`): two padded 3x3 convolutions, each with pooling, and two linear layers.
///
/// 648,226 parameters at 10 classes. Images [N, 1, 28, 28] to logits [N, classes]. Keys: conv1, conv2, linear1, linear2. PyTorch's
/// default initialisation.
public final class LeNet5: Module, Layer {
  let conv1: Conv2d
  let conv2: Conv2d
  let linear1: Linear
  let linear2: Linear

  /// - Parameter generator: draws the initial weights.
  public init(classes: Int = 10, generator: Generator) {
    conv1 = Conv2d(1, 32, kernel: 3, padding: 1, generator: generator)
    conv2 = Conv2d(32, 64, kernel: 3, padding: 1, generator: generator)
    linear1 = Linear(64 * 7 * 7, 200, generator: generator)
    linear2 = Linear(200, classes, generator: generator)
  }

  public func callAsFunction(_ input: Tensor) -> Tensor {
    var x = conv1(input).reluInPlace().maxPool2d(2)
    x = conv2(x).reluInPlace().maxPool2d(2)
    x = linear1(x.flattened(from: 1)).reluInPlace()
    return linear2(x)
  }
}
