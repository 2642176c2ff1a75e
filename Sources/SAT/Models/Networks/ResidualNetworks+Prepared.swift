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
    let linear = linear.fixed(dtype)
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
    let fc = fc.fixed(dtype)
    return { fc(chain($0.to(dtype)).averagePool2d(8).flattened(from: 1)) }
  }
}

extension ResNet34: Preparable {
  /// - Parameter inputShape: [3, H, W].
  public func prepared(inputShape: [Int], dtype: DType?) -> (Tensor) -> Tensor {
    let dtype = dtype ?? conv1.weight.value.dtype
    let stem = conv1.followed(by: bn1).prepared(inputShape: inputShape, dtype: dtype)
    var shape = conv1.outputShape(of: inputShape)
    // The 3x3 pooling of stride 2.
    shape = [shape[0], (shape[1] - 1) / 2 + 1, (shape[2] - 1) / 2 + 1]
    let blocks = [layer1, layer2, layer3, layer4].flatMap(\.layers).compactMap { $0 as? Block }.map { block in
      let project = block.downsample?.preparedProjection(inputShape: shape, dtype: dtype)
      return preparedPostActivationBlock(block.conv1, block.bn1, block.conv2, block.bn2, shortcut: project, shape: &shape, dtype: dtype)
    }
    let fc = fc.fixed(dtype)
    return { input in
      let x = blocks.reduce(stem(input.to(dtype)).reluInPlace().maxPool2d(3, stride: 2, padding: 1)) { $1($0) }
      return fc(x.adaptiveAveragePool2d(1).flattened(from: 1))
    }
  }
}

extension ResNet18: Preparable {
  /// - Parameter inputShape: [3, 32, 32].
  public func prepared(inputShape: [Int], dtype: DType?) -> (Tensor) -> Tensor {
    let dtype = dtype ?? conv1.weight.value.dtype
    let stem = conv1.followed(by: bn1).prepared(inputShape: inputShape, dtype: dtype)
    var shape = conv1.outputShape(of: inputShape)
    let blocks = [layer1, layer2, layer3, layer4].flatMap(\.layers).compactMap { $0 as? Block }.map { block in
      let project = block.shortcut.preparedProjection(inputShape: shape, dtype: dtype)
      return preparedPostActivationBlock(block.conv1, block.bn1, block.conv2, block.bn2, shortcut: project, shape: &shape, dtype: dtype)
    }
    let linear = linear.fixed(dtype)
    return { input in linear(blocks.reduce(stem(input.to(dtype)).reluInPlace()) { $1($0) }.averagePool2d(4).flattened(from: 1)) }
  }
}

extension ResNet20: Preparable {
  /// - Parameter inputShape: [3, 32, 32].
  public func prepared(inputShape: [Int], dtype: DType?) -> (Tensor) -> Tensor {
    let dtype = dtype ?? conv1.weight.value.dtype
    let stem = conv1.followed(by: bn1).prepared(inputShape: inputShape, dtype: dtype)
    var shape = conv1.outputShape(of: inputShape)
    let blocks = [layer1, layer2, layer3].flatMap(\.layers).compactMap { $0 as? Block }.map { block in
      preparedPostActivationBlock(
        block.conv1, block.bn1, block.conv2, block.bn2, shortcut: { block.padded($0) }, shape: &shape, dtype: dtype)
    }
    let linear = linear.fixed(dtype)
    return { input in linear(blocks.reduce(stem(input.to(dtype)).reluInPlace()) { $1($0) }.adaptiveAveragePool2d(1).flattened(from: 1)) }
  }
}
