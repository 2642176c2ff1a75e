public import SwiftTorch

/// ResNet-34 (He et al. 2016) in torchvision's layout (`resnet34`), for images of 224 x 224; 21,289,802 parameters at 10 classes.
///
/// Images [N, 3, 224, 224] to logits [N, classes]; any size from 33 on works. Keys: conv1, bn1, layer1 to layer4 . i . {conv1, bn1, conv2,
/// bn2, downsample.0, downsample.1}, fc. Convolution weights start Kaiming-normal over the fan-out with the ReLU gain, the rest as in
/// PyTorch.
public final class ResNet34: Module, Layer {
  let conv1: Conv2d
  let bn1: BatchNorm2d
  let layer1: Sequential
  let layer2: Sequential
  let layer3: Sequential
  let layer4: Sequential
  let fc: Linear

  /// - Parameter generator: draws the initial weights.
  public init(classes: Int = 10, generator: Generator) {
    func stage(_ inputs: Int, _ outputs: Int, blocks: Int, stride: Int) -> Sequential {
      Sequential(
        (0..<blocks).map { Block($0 == 0 ? inputs : outputs, outputs, stride: $0 == 0 ? stride : 1, generator: generator) })
    }
    conv1 = Conv2d(3, 64, kernel: 7, stride: 2, padding: 3, bias: false, generator: generator)
    bn1 = BatchNorm2d(64)
    layer1 = stage(64, 64, blocks: 3, stride: 1)
    layer2 = stage(64, 128, blocks: 4, stride: 2)
    layer3 = stage(128, 256, blocks: 6, stride: 2)
    layer4 = stage(256, 512, blocks: 3, stride: 2)
    fc = Linear(512, classes, generator: generator)
    super.init()
    for layer in modules.compactMap({ $0 as? Conv2d }) {
      Initialization.kaimingNormal(layer.weight.value, fan: .output, nonlinearity: .relu, generator: generator)
    }
  }

  public func callAsFunction(_ input: Tensor) -> Tensor {
    let x = bn1(conv1(input)).reluInPlace().maxPool2d(3, stride: 2, padding: 1)
    return fc(layer4(layer3(layer2(layer1(x)))).adaptiveAveragePool2d(1).flattened(from: 1))
  }

  /// Two 3x3 convolutions around a shortcut that is a 1x1 convolution and BatchNorm where the shape changes.
  final class Block: Module, Layer {
    let conv1: Conv2d
    let bn1: BatchNorm2d
    let conv2: Conv2d
    let bn2: BatchNorm2d
    let downsample: Sequential?

    init(_ inputs: Int, _ outputs: Int, stride: Int, generator: Generator) {
      conv1 = Conv2d(inputs, outputs, kernel: 3, stride: stride, padding: 1, bias: false, generator: generator)
      bn1 = BatchNorm2d(outputs)
      conv2 = Conv2d(outputs, outputs, kernel: 3, padding: 1, bias: false, generator: generator)
      bn2 = BatchNorm2d(outputs)
      downsample =
        stride != 1 || inputs != outputs
        ? Sequential(Conv2d(inputs, outputs, kernel: 1, stride: stride, bias: false, generator: generator), BatchNorm2d(outputs)) : nil
    }

    func callAsFunction(_ input: Tensor) -> Tensor {
      let y = bn2(conv2(bn1(conv1(input)).reluInPlace()))
      return (y + (downsample.map { $0(input) } ?? input)).reluInPlace()
    }
  }
}
