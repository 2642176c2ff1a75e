public import SwiftTorch

/// ResNet-18 for CIFAR (`resnet18`): a 3x3 stem without pooling, widths 64-128-256-512; 11,173,962 parameters at 10 classes.
///
/// Images [N, 3, 32, 32] to logits [N, classes]. The keys match the common public CIFAR checkpoints: conv1, bn1,
/// layer1 to layer4 . {0, 1} . {conv1, bn1, conv2, bn2, shortcut.0, shortcut.1}, linear. PyTorch's default initialisation.
public final class ResNet18: PostActivationResNet {
  /// - Parameter generator: draws the initial weights.
  public init(classes: Int = 10, generator: Generator) {
    func stage(_ inputs: Int, _ outputs: Int, stride: Int) -> Sequential {
      .stage(2, inputs, outputs, stride: stride) { Block($0, $1, stride: $2, generator: generator) }
    }
    let stem = Conv2d(3, 64, kernel: 3, padding: 1, bias: false, generator: generator)
    let stages = [stage(64, 64, stride: 1), stage(64, 128, stride: 2), stage(128, 256, stride: 2), stage(256, 512, stride: 2)]
    super.init(stem: stem, stages: stages, features: 512, classes: classes, generator: generator)
  }

  private final class Block: PostActivationBlock { override class var stateNames: [String: String] { ["projection": "shortcut"] } }
}
