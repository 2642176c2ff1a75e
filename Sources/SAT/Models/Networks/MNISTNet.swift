public import SwiftTorch

/// The MNIST network of the SAT paper (`mnist-cnn`): three convolutions and a linear layer, 729,418 parameters at 10 classes.
///
/// Images [N, 1, 28, 28] to logits [N, classes]. Keys: conv1, conv2, conv3, fc. Convolution weights start Kaiming-normal (fan-out,
/// ReLU gain); all other parameters start as in PyTorch.
public final class MNISTNet: Module, Layer {
  let conv1: Conv2d
  let conv2: Conv2d
  let conv3: Conv2d
  let fc: Linear

  /// - Parameter generator: draws the initial weights.
  public init(classes: Int = 10, generator: Generator) {
    conv1 = Conv2d(1, 64, kernel: 8, stride: 2, padding: 3, generator: generator)
    conv2 = Conv2d(64, 128, kernel: 6, stride: 2, padding: 3, generator: generator)
    conv3 = Conv2d(128, 128, kernel: 5, generator: generator)
    fc = Linear(2048, classes, generator: generator)
    super.init()
    for layer in [conv1, conv2, conv3] {
      Initialization.kaimingNormal(layer.weight.value, fan: .output, nonlinearity: .relu, generator: generator)
    }
  }

  public func callAsFunction(_ input: Tensor) -> Tensor {
    var x = conv1(input).reluInPlace()
    x = conv2(x).reluInPlace()
    x = conv3(x).reluInPlace()
    return fc(x.flattened(from: 1))
  }
}
