public import SwiftTorch

/// TRADES' SmallCNN for MNIST (`small-cnn`): four convolutions, two poolings, and three linear layers with dropout after the first.
///
/// 312,202 parameters at 10 classes. Images [N, 1, 28, 28] to logits [N, classes]. Keys: feature_extractor.conv1 to conv4,
/// classifier.fc1 to fc3. Convolution weights start Kaiming-normal (fan-in). Convolution biases and the whole last layer start at
/// zero. All other parameters start as in PyTorch.
public final class SmallCNN: Module, Layer {
  let featureExtractor: FeatureExtractor
  let classifier: Classifier

  public override class var stateNames: [String: String] { ["featureExtractor": "feature_extractor"] }

  /// - Parameter generator: draws the initial weights now and every dropout mask of training mode later.
  public init(classes: Int = 10, generator: Generator) {
    featureExtractor = FeatureExtractor(generator: generator)
    classifier = Classifier(classes: classes, generator: generator)
    super.init()
    for layer in [featureExtractor.conv1, featureExtractor.conv2, featureExtractor.conv3, featureExtractor.conv4] {
      Initialization.kaimingNormal(layer.weight.value, generator: generator)
      if let bias = layer.bias { Initialization.constant(bias.value, 0) }
    }
    for parameter in classifier.fc3.parameters { Initialization.constant(parameter.value, 0) }
  }

  public func callAsFunction(_ input: Tensor) -> Tensor { classifier(featureExtractor(input).flattened(from: 1)) }

  /// The convolutions, [N, 1, 28, 28] to [N, 64, 4, 4].
  final class FeatureExtractor: Module, Layer {
    let conv1: Conv2d
    let conv2: Conv2d
    let conv3: Conv2d
    let conv4: Conv2d

    init(generator: Generator) {
      conv1 = Conv2d(1, 32, kernel: 3, generator: generator)
      conv2 = Conv2d(32, 32, kernel: 3, generator: generator)
      conv3 = Conv2d(32, 64, kernel: 3, generator: generator)
      conv4 = Conv2d(64, 64, kernel: 3, generator: generator)
    }

    func callAsFunction(_ input: Tensor) -> Tensor {
      var x = conv1(input).reluInPlace()
      x = conv2(x).reluInPlace().maxPool2d(2)
      x = conv3(x).reluInPlace()
      return conv4(x).reluInPlace().maxPool2d(2)
    }
  }

  /// The linear layers, [N, 1024] to [N, classes].
  final class Classifier: Module, Layer {
    let fc1: Linear
    let drop: Dropout
    let fc2: Linear
    let fc3: Linear

    init(classes: Int, generator: Generator) {
      fc1 = Linear(64 * 4 * 4, 200, generator: generator)
      drop = Dropout(0.5, generator: generator)
      fc2 = Linear(200, 200, generator: generator)
      fc3 = Linear(200, classes, generator: generator)
    }

    func callAsFunction(_ input: Tensor) -> Tensor {
      let x = drop(fc1(input).reluInPlace())
      return fc3(fc2(x).reluInPlace())
    }
  }
}
