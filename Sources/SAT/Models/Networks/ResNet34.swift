public import SwiftTorch

/// ResNet-34 (He et al. 2016) in torchvision's layout (`resnet34`), for images of 224 x 224; 21,289,802 parameters at 10 classes.
///
/// Images [N, 3, 224, 224] to logits [N, classes]; the network also accepts any other size from 33 on. Keys: conv1, bn1,
/// layer1 to layer4 . i . {conv1, bn1, conv2, bn2, downsample.0, downsample.1}, fc. Convolution weights start Kaiming-normal
/// (fan-out, ReLU gain); all other parameters start as in PyTorch.
public final class ResNet34: PostActivationResNet {
  public override class var stateNames: [String: String] { ["linear": "fc"] }

  /// - Parameter generator: draws the initial weights.
  public init(classes: Int = 10, generator: Generator) {
    func stage(_ inputs: Int, _ outputs: Int, blocks: Int, stride: Int) -> Sequential {
      .stage(blocks, inputs, outputs, stride: stride) { Block($0, $1, stride: $2, generator: generator) }
    }
    let stem = Conv2d(3, 64, kernel: 7, stride: 2, padding: 3, bias: false, generator: generator)
    let stages = [
      stage(64, 64, blocks: 3, stride: 1), stage(64, 128, blocks: 4, stride: 2), stage(128, 256, blocks: 6, stride: 2),
      stage(256, 512, blocks: 3, stride: 2),
    ]
    super.init(stem: stem, poolsStem: true, stages: stages, features: 512, classes: classes, generator: generator)
    for layer in modules.compactMap({ $0 as? Conv2d }) {
      Initialization.kaimingNormal(layer.weight.value, fan: .output, nonlinearity: .relu, generator: generator)
    }
  }

  private final class Block: PostActivationBlock {
    override class var stateNames: [String: String] { ["projection": "downsample"] }
  }
}
