public import SwiftTorch

/// The common part of the networks for MNIST and of CNN-A: convolutions, then linear layers, with ReLUs between.
public class SmallNetwork: Module, Preparable {
  /// The layers in the order of the forward pass.
  ///
  /// A module does not look for its parts inside a structure, so their names come from the subclass's properties.
  struct Plan {
    /// The convolutions, and whether 2x2 max pooling follows the ReLU of each.
    var convolutions: [(layer: Conv2d, pools: Bool)]
    var linears: [Linear]
    /// The dropout behind the first linear layer.
    var dropout: Dropout?
  }

  private let plan: Plan

  init(_ plan: Plan) { self.plan = plan }

  public func callAsFunction(_ input: Tensor) -> Tensor {
    var x = input
    for (layer, pools) in plan.convolutions {
      x = layer(x).reluInPlace()
      if pools { x = x.maxPool2d(2) }
    }
    x = plan.linears[0](x.flattened(from: 1))
    for (i, layer) in plan.linears.dropFirst().enumerated() {
      x = x.reluInPlace()
      if i == 0, let dropout = plan.dropout { x = dropout(x) }
      x = layer(x)
    }
    return x
  }

  // The prepared network keeps features with their channels last. It applies a ReLU after a max pooling instead of before it,
  // because the result is the same and only a quarter of the values remain. For a large batch, the output of a convolution exceeds
  // the processor's cache before the pooling shrinks it, so the batch passes these layers in parts.
  public func prepared(inputShape: [Int], dtype: DType?) -> (Tensor) -> Tensor {
    let dtype = dtype ?? plan.linears[0].weight.value.dtype
    var shape = inputShape
    let convolutions = plan.convolutions.map { layer, pools -> (Tensor) -> Tensor in
      let convolution = layer.prepared(inputShape: shape, dtype: dtype)
      shape = layer.outputShape(of: shape)
      guard pools else { return { convolution($0).reluInPlace() } }
      shape = [shape[0], shape[1] / 2, shape[2] / 2]
      return { convolution($0).halved().reluInPlace() }
    }
    let first = plan.linears[0].prepared(onChannelsLast: shape[0], dtype: dtype)
    let linears = plan.linears.dropFirst().map { $0.prepared(dtype: dtype) }
    let most = plan.convolutions.contains(where: \.pools) ? 32 : Int.max
    return { input in
      let features = input.to(dtype).inParts(of: most) { part in convolutions.reduce(part) { $1($0) } }
      return linears.reduce(first(features)) { $1($0.reluInPlace()) }
    }
  }
}

/// The MNIST network of the SAT paper (`mnist-cnn`): three convolutions and a linear layer, 729,418 parameters at 10 classes.
///
/// Images [N, 1, 28, 28] to logits [N, classes]. Keys: conv1, conv2, conv3, fc. Convolution weights start Kaiming-normal (fan-out,
/// ReLU gain); all other parameters start as in PyTorch.
public final class MNISTNet: SmallNetwork {
  let conv1: Conv2d
  let conv2: Conv2d
  let conv3: Conv2d
  let fc: Linear

  public init(classes: Int = 10, generator: Generator) {
    conv1 = Conv2d(1, 64, kernel: 8, stride: 2, padding: 3, generator: generator)
    conv2 = Conv2d(64, 128, kernel: 6, stride: 2, padding: 3, generator: generator)
    conv3 = Conv2d(128, 128, kernel: 5, generator: generator)
    fc = Linear(2048, classes, generator: generator)
    super.init(Plan(convolutions: [(conv1, false), (conv2, false), (conv3, false)], linears: [fc]))
    initializeConvolutions(generator)
  }
}

/// advertorch's LeNet5 for MNIST (`lenet5`): two padded 3x3 convolutions, each with pooling, and two linear layers.
///
/// 648,226 parameters at 10 classes. Images [N, 1, 28, 28] to logits [N, classes]. Keys: conv1, conv2, linear1, linear2. PyTorch's
/// default initialisation.
public final class LeNet5: SmallNetwork {
  let conv1: Conv2d
  let conv2: Conv2d
  let linear1: Linear
  let linear2: Linear

  public init(classes: Int = 10, generator: Generator) {
    conv1 = Conv2d(1, 32, kernel: 3, padding: 1, generator: generator)
    conv2 = Conv2d(32, 64, kernel: 3, padding: 1, generator: generator)
    linear1 = Linear(64 * 7 * 7, 200, generator: generator)
    linear2 = Linear(200, classes, generator: generator)
    super.init(Plan(convolutions: [(conv1, true), (conv2, true)], linears: [linear1, linear2]))
  }
}

/// CNN-A of the certification papers (`cnn-a`): two strided 4x4 convolutions and two linear layers.
///
/// Images [N, 3, 32, 32], or [N, 1, 28, 28] for one channel, to logits [N, classes]. The keys 0, 2, 5 and 7 are positions in a
/// `Sequential` that counts the activations too. PyTorch's default initialisation. Source: the networks `cifar_cnn_a` and
/// `mnist_cnn_a` of alpha-beta-CROWN.
public final class CNNA: SmallNetwork {
  let conv1: Conv2d
  let conv2: Conv2d
  let linear1: Linear
  let linear2: Linear

  public override class var stateNames: [String: String] { ["conv1": "0", "conv2": "2", "linear1": "5", "linear2": "7"] }

  /// Makes the network for images of 32 x 32 with 3 `channels`, or of 28 x 28 with 1.
  public init(classes: Int = 10, channels: Int = 3, generator: Generator) {
    precondition(channels == 1 || channels == 3, "CNNA: \(channels) channels; expected 1 or 3")
    let side = channels == 1 ? 7 : 8
    conv1 = Conv2d(channels, 16, kernel: 4, stride: 2, padding: 1, generator: generator)
    conv2 = Conv2d(16, 32, kernel: 4, stride: 2, padding: 1, generator: generator)
    linear1 = Linear(32 * side * side, 100, generator: generator)
    linear2 = Linear(100, classes, generator: generator)
    super.init(Plan(convolutions: [(conv1, false), (conv2, false)], linears: [linear1, linear2]))
  }
}

/// TRADES' SmallCNN for MNIST (`small-cnn`): four convolutions, two poolings, and three linear layers with dropout after the first.
///
/// 312,202 parameters at 10 classes. Images [N, 1, 28, 28] to logits [N, classes]. Keys: feature_extractor.conv1 to conv4,
/// classifier.fc1 to fc3. Convolution weights start Kaiming-normal (fan-in). Convolution biases and the whole last layer start at
/// zero. All other parameters start as in PyTorch.
public final class SmallCNN: SmallNetwork {
  private let features: Features
  private let classifier: Classifier

  public override class var stateNames: [String: String] { ["features": "feature_extractor"] }

  /// Makes the network; the generator draws the initial weights now and every dropout mask of training mode later.
  public init(classes: Int = 10, generator: Generator) {
    let features = Features(generator: generator)
    let classifier = Classifier(classes: classes, generator: generator)
    self.features = features
    self.classifier = classifier
    super.init(
      Plan(
        convolutions: [(features.conv1, false), (features.conv2, true), (features.conv3, false), (features.conv4, true)],
        linears: [classifier.fc1, classifier.fc2, classifier.fc3], dropout: classifier.drop))
    for layer in [features.conv1, features.conv2, features.conv3, features.conv4] {
      Initialization.kaimingNormal(layer.weight.value, generator: generator)
      if let bias = layer.bias { Initialization.constant(bias.value, 0) }
    }
    for parameter in classifier.fc3.parameters { Initialization.constant(parameter.value, 0) }
  }

  private final class Features: Module {
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
  }

  private final class Classifier: Module {
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
  fileprivate func prepared(onChannelsLast channels: Int, dtype: DType) -> (Tensor) -> Tensor {
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
  fileprivate func inParts(of most: Int, _ body: (Tensor) -> Tensor) -> Tensor {
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
