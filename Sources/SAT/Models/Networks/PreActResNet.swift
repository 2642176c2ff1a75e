public import SwiftTorch

/// The pre-activation ResNet that the SAT paper calls PRN-20 (`prn20`).
///
/// Blocks [2, 2, 2, 2] of widths 64-128-256-512 behind a 3x3 stem; 11,171,146 parameters at 10 classes. Source: He et al. 2016,
/// "Identity Mappings in Deep Residual Networks".
///
/// Images [N, 3, 32, 32] to logits [N, classes]. Keys: conv1, layer1 to layer4 . {0, 1} . {bn1, conv1, bn2, conv2, shortcut.0},
/// linear; with a last BatchNorm also bn. PyTorch's default initialisation.
///
/// Public checkpoints with these keys come from three networks. The paper's network, the default here, has no last BatchNorm and
/// applies the shortcut convolution to the activated input. The network of Rice et al. and AWP adds `bn` and a ReLU before the
/// pooling. RobustBench's `PreActBlock` (Wong et al. 2020) applies the shortcut convolution to the raw input; a file does not show
/// the difference from the first network.
public final class PreActResNet: Module, Layer {
  let conv1: Conv2d
  let layer1: Sequential
  let layer2: Sequential
  let layer3: Sequential
  let layer4: Sequential
  let bn: BatchNorm2d?
  let linear: Linear

  /// Makes the network.
  ///
  /// - Parameters:
  ///   - classes: the number of classes.
  ///   - finalBN: whether BatchNorm and a ReLU stand before the pooling.
  ///   - rawShortcut: whether the shortcut convolutions take the raw input of a block instead of the activated input.
  ///   - generator: draws the initial weights.
  public init(classes: Int = 10, finalBN: Bool = false, rawShortcut: Bool = false, generator: Generator) {
    func stage(_ inputs: Int, _ outputs: Int, stride: Int) -> Sequential {
      .stage(2, inputs, outputs, stride: stride) { Block($0, $1, stride: $2, rawShortcut: rawShortcut, generator: generator) }
    }
    conv1 = Conv2d(3, 64, kernel: 3, padding: 1, bias: false, generator: generator)
    layer1 = stage(64, 64, stride: 1)
    layer2 = stage(64, 128, stride: 2)
    layer3 = stage(128, 256, stride: 2)
    layer4 = stage(256, 512, stride: 2)
    bn = finalBN ? BatchNorm2d(512) : nil
    linear = Linear(512, classes, generator: generator)
  }

  public func callAsFunction(_ input: Tensor) -> Tensor {
    var x = layer4(layer3(layer2(layer1(conv1(input)))))
    if let bn { x = bn(x).reluInPlace() }
    return linear(x.averagePool2d(4).flattened(from: 1))
  }

  /// Two groups of BatchNorm, ReLU and a 3x3 convolution, and a shortcut; the shortcut is a 1x1 convolution if the shape changes.
  final class Block: Module, Layer {
    let bn1: BatchNorm2d
    let conv1: Conv2d
    let bn2: BatchNorm2d
    let conv2: Conv2d
    let shortcut: Sequential?
    let rawShortcut: Bool

    init(_ inputs: Int, _ outputs: Int, stride: Int, rawShortcut: Bool, generator: Generator) {
      bn1 = BatchNorm2d(inputs)
      conv1 = Conv2d(inputs, outputs, kernel: 3, stride: stride, padding: 1, bias: false, generator: generator)
      bn2 = BatchNorm2d(outputs)
      conv2 = Conv2d(outputs, outputs, kernel: 3, padding: 1, bias: false, generator: generator)
      shortcut =
        stride != 1 || inputs != outputs
        ? Sequential(Conv2d(inputs, outputs, kernel: 1, stride: stride, bias: false, generator: generator)) : nil
      self.rawShortcut = rawShortcut
    }

    func callAsFunction(_ input: Tensor) -> Tensor {
      let activated = bn1(input).reluInPlace()
      let y = conv2(bn2(conv1(activated)).reluInPlace())
      return y + (shortcut.map { $0(rawShortcut ? input : activated) } ?? input)
    }
  }
}
