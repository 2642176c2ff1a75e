public import SwiftTorch

/// CNN-A of the certification papers (`cnn-a`): two strided 4x4 convolutions and two linear layers.
///
/// Images [N, 3, 32, 32], or [N, 1, 28, 28] for one channel, to logits [N, classes]. The keys 0, 2, 5 and 7 are positions in a
/// `Sequential` that counts the activations too. PyTorch's default initialisation. Source: the networks `cifar_cnn_a` and
/// `mnist_cnn_a` of alpha-beta-CROWN.
public final class CNNA: Module, Layer {
  let conv1: Conv2d
  let conv2: Conv2d
  let linear1: Linear
  let linear2: Linear

  public override class var stateNames: [String: String] { ["conv1": "0", "conv2": "2", "linear1": "5", "linear2": "7"] }

  /// Makes the network.
  ///
  /// - Parameters:
  ///   - classes: the number of classes.
  ///   - channels: 3 for images of 32 x 32, 1 for images of 28 x 28.
  ///   - generator: draws the initial weights.
  public init(classes: Int = 10, channels: Int = 3, generator: Generator) {
    precondition(channels == 1 || channels == 3, "CNNA: \(channels) channels; expected 1 or 3")
    let side = channels == 1 ? 7 : 8
    conv1 = Conv2d(channels, 16, kernel: 4, stride: 2, padding: 1, generator: generator)
    conv2 = Conv2d(16, 32, kernel: 4, stride: 2, padding: 1, generator: generator)
    linear1 = Linear(32 * side * side, 100, generator: generator)
    linear2 = Linear(100, classes, generator: generator)
  }

  public func callAsFunction(_ input: Tensor) -> Tensor {
    var x = conv1(input).reluInPlace()
    x = conv2(x).reluInPlace()
    x = linear1(x.flattened(from: 1)).reluInPlace()
    return linear2(x)
  }
}
