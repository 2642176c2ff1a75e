public import SwiftTorch

/// The CIFAR ResNet-20 of He et al. 2016, section 4.2, widths 16-32-64 (`resnet20`); 269,722 parameters at 10 classes.
///
/// Images [N, 3, 32, 32] to logits [N, classes]. Keys are those of the common public checkpoints: conv1, bn1,
/// layer1 to layer3 . 0 to 2 . {conv1, bn1, conv2, bn2}, linear. Convolution and linear weights start Kaiming-normal over the fan-in.
public final class ResNet20: Module, Layer {
  let conv1: Conv2d
  let bn1: BatchNorm2d
  let layer1: Sequential
  let layer2: Sequential
  let layer3: Sequential
  let linear: Linear

  /// - Parameter generator: draws the initial weights.
  public init(classes: Int = 10, generator: Generator) {
    func stage(_ inputs: Int, _ outputs: Int, stride: Int) -> Sequential {
      Sequential(
        Block(inputs, outputs, stride: stride, generator: generator),
        Block(outputs, outputs, stride: 1, generator: generator),
        Block(outputs, outputs, stride: 1, generator: generator))
    }
    conv1 = Conv2d(3, 16, kernel: 3, padding: 1, bias: false, generator: generator)
    bn1 = BatchNorm2d(16)
    layer1 = stage(16, 16, stride: 1)
    layer2 = stage(16, 32, stride: 2)
    layer3 = stage(32, 64, stride: 2)
    linear = Linear(64, classes, generator: generator)
    super.init()
    for module in modules {
      if let weight = (module as? Conv2d)?.weight ?? (module as? Linear)?.weight {
        Initialization.kaimingNormal(weight.value, generator: generator)
      }
    }
  }

  public func callAsFunction(_ input: Tensor) -> Tensor {
    var x = bn1(conv1(input)).reluInPlace()
    x = layer3(layer2(layer1(x)))
    return linear(x.adaptiveAveragePool2d(1).flattened(from: 1))
  }

  /// Two 3x3 convolutions around a shortcut without parameters (He et al. 2016, option A): every second pixel, new channels zero.
  final class Block: Module, Layer {
    let conv1: Conv2d
    let bn1: BatchNorm2d
    let conv2: Conv2d
    let bn2: BatchNorm2d
    let stride: Int
    /// Zero channels added on either side.
    let added: Int

    init(_ inputs: Int, _ outputs: Int, stride: Int, generator: Generator) {
      conv1 = Conv2d(inputs, outputs, kernel: 3, stride: stride, padding: 1, bias: false, generator: generator)
      bn1 = BatchNorm2d(outputs)
      conv2 = Conv2d(outputs, outputs, kernel: 3, padding: 1, bias: false, generator: generator)
      bn2 = BatchNorm2d(outputs)
      self.stride = stride
      added = (outputs - inputs) / 2
    }

    func callAsFunction(_ input: Tensor) -> Tensor {
      (bn2(conv2(bn1(conv1(input)).reluInPlace())) + padded(input)).reluInPlace()
    }

    /// The shortcut.
    func padded(_ input: Tensor) -> Tensor {
      var shortcut = input
      if stride != 1 { shortcut = shortcut[.all, .all, .stride(by: stride), .stride(by: stride)] }
      if added != 0 { shortcut = shortcut.padded([0, 0, 0, 0, added, added]) }
      return shortcut
    }
  }
}
