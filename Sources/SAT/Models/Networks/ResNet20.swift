public import SwiftTorch

/// The CIFAR ResNet-20 of He et al. 2016, section 4.2, widths 16-32-64 (`resnet20`); 269,722 parameters at 10 classes.
///
/// Images [N, 3, 32, 32] to logits [N, classes]. The keys match the common public checkpoints: conv1, bn1,
/// layer1 to layer3 . 0 to 2 . {conv1, bn1, conv2, bn2}, linear. Convolution and linear weights start Kaiming-normal (fan-in).
public final class ResNet20: PostActivationResNet {
  /// - Parameter generator: draws the initial weights.
  public init(classes: Int = 10, generator: Generator) {
    func stage(_ inputs: Int, _ outputs: Int, stride: Int) -> Sequential {
      .stage(3, inputs, outputs, stride: stride) { Block($0, $1, stride: $2, generator: generator) }
    }
    let stem = Conv2d(3, 16, kernel: 3, padding: 1, bias: false, generator: generator)
    let stages = [stage(16, 16, stride: 1), stage(16, 32, stride: 2), stage(32, 64, stride: 2)]
    super.init(stem: stem, stages: stages, features: 64, classes: classes, generator: generator)
    for module in modules {
      if let weight = (module as? Conv2d)?.weight ?? (module as? Linear)?.weight {
        Initialization.kaimingNormal(weight.value, generator: generator)
      }
    }
  }

  /// A block with a shortcut without parameters (He et al. 2016, option A): it takes every second pixel and adds zero channels.
  private final class Block: PostActivationBlock {
    private let stride: Int
    /// The number of zero channels on each side.
    private let added: Int

    init(_ inputs: Int, _ outputs: Int, stride: Int, generator: Generator) {
      (self.stride, added) = (stride, (outputs - inputs) / 2)
      super.init(inputs, outputs, stride: stride, projects: false, generator: generator)
    }

    override func shortcut(_ input: Tensor) -> Tensor {
      var shortcut = input
      if stride != 1 { shortcut = shortcut[.all, .all, .stride(by: stride), .stride(by: stride)] }
      if added != 0 { shortcut = shortcut.padded([0, 0, 0, 0, added, added]) }
      return shortcut
    }
  }
}
