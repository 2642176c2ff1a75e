public import SwiftTorch

/// ResNet-18 for CIFAR (`resnet18`): a 3x3 stem without pooling, widths 64-128-256-512; 11,173,962 parameters at 10 classes.
///
/// Images [N, 3, 32, 32] to logits [N, classes]. Keys are those of the common public CIFAR checkpoints: conv1, bn1,
/// layer1 to layer4 . {0, 1} . {conv1, bn1, conv2, bn2, shortcut.0, shortcut.1}, linear. PyTorch's default initialisation.
public final class ResNet18: Module, Layer {
  let conv1: Conv2d
  let bn1: BatchNorm2d
  let layer1: Sequential
  let layer2: Sequential
  let layer3: Sequential
  let layer4: Sequential
  let linear: Linear

  /// - Parameter generator: draws the initial weights.
  public init(classes: Int = 10, generator: Generator) {
    func stage(_ inputs: Int, _ outputs: Int, stride: Int) -> Sequential {
      Sequential(
        Block(inputs, outputs, stride: stride, generator: generator),
        Block(outputs, outputs, stride: 1, generator: generator))
    }
    conv1 = Conv2d(3, 64, kernel: 3, padding: 1, bias: false, generator: generator)
    bn1 = BatchNorm2d(64)
    layer1 = stage(64, 64, stride: 1)
    layer2 = stage(64, 128, stride: 2)
    layer3 = stage(128, 256, stride: 2)
    layer4 = stage(256, 512, stride: 2)
    linear = Linear(512, classes, generator: generator)
  }

  public func callAsFunction(_ input: Tensor) -> Tensor {
    var x = bn1(conv1(input)).reluInPlace()
    x = layer4(layer3(layer2(layer1(x))))
    return linear(x.averagePool2d(4).flattened(from: 1))
  }

  /// Two 3x3 convolutions around a shortcut that is a 1x1 convolution and BatchNorm where the shape changes.
  final class Block: Module, Layer {
    let conv1: Conv2d
    let bn1: BatchNorm2d
    let conv2: Conv2d
    let bn2: BatchNorm2d
    let shortcut: Sequential

    init(_ inputs: Int, _ outputs: Int, stride: Int, generator: Generator) {
      conv1 = Conv2d(inputs, outputs, kernel: 3, stride: stride, padding: 1, bias: false, generator: generator)
      bn1 = BatchNorm2d(outputs)
      conv2 = Conv2d(outputs, outputs, kernel: 3, padding: 1, bias: false, generator: generator)
      bn2 = BatchNorm2d(outputs)
      if stride != 1 || inputs != outputs {
        shortcut = Sequential(
          Conv2d(inputs, outputs, kernel: 1, stride: stride, bias: false, generator: generator), BatchNorm2d(outputs))
      } else {
        shortcut = Sequential()
      }
    }

    func callAsFunction(_ input: Tensor) -> Tensor {
      let y = bn2(conv2(bn1(conv1(input)).reluInPlace()))
      return (y + shortcut(input)).reluInPlace()
    }
  }
}
