public import SwiftTorch

extension PreActResNet: Preparable {
  /// - Parameter inputShape: [3, 32, 32].
  public func prepared(inputShape: [Int], dtype: DType?) -> (Tensor) -> Tensor {
    let dtype = dtype ?? conv1.weight.value.dtype
    let blocks = [layer1, layer2, layer3, layer4].flatMap(\.layers).compactMap { $0 as? Block }
    let chain = PreActivationChain(
      stem: conv1,
      blocks: blocks.map {
        .init(
          bn1: $0.bn1, conv1: $0.conv1, bn2: $0.bn2, conv2: $0.conv2, shortcut: $0.shortcut?.layers.first as? Conv2d,
          rawShortcut: $0.rawShortcut)
      }, last: bn, inputShape: inputShape, dtype: dtype)
    let linear = linear.prepared(dtype: dtype)
    return { linear(chain($0.to(dtype)).averagePool2d(4).flattened(from: 1)) }
  }
}

extension WideResNet: Preparable {
  /// - Parameter inputShape: [3, 32, 32].
  public func prepared(inputShape: [Int], dtype: DType?) -> (Tensor) -> Tensor {
    let dtype = dtype ?? conv1.weight.value.dtype
    let blocks = [block1, block2, block3].flatMap(\.layer.layers).compactMap { $0 as? Block }
    let chain = PreActivationChain(
      stem: conv1,
      blocks: blocks.map { .init(bn1: $0.bn1, conv1: $0.conv1, bn2: $0.bn2, conv2: $0.conv2, shortcut: $0.convShortcut) },
      last: bn1, inputShape: inputShape, dtype: dtype)
    let fc = fc.prepared(dtype: dtype)
    return { fc(chain($0.to(dtype)).averagePool2d(8).flattened(from: 1)) }
  }
}
