/// Computes a convolution of stride 1 by a fast bilinear algorithm in both dimensions (Lavin and Gray, "Fast Algorithms for
/// Convolutional Neural Networks", 2016).
///
/// Matrix products over space transform the input and the output. Between them, each product of the algorithm is one matrix product
/// over channels. The data stay in channels-last order, and the transform of the input includes the padding.
struct BilinearConvolution {
  /// The fewest rows (tiles of the batch). The direct convolution is faster for fewer rows, because its weights are 3.2 times
  /// smaller to read. Both limits were measured with 128 channels in a network, on 2 cores.
  static let fewestRows = 8
  /// The fewest rows for one grouped convolution. A batch of matrix products, without a reordering of weights, is faster for fewer.
  static let fewestRowsOfGroupedConvolution = 48

  private let direct: DirectConvolution
  private let channels: Int
  private let outputs: Int
  private let products: Int
  private let tile: Int
  private let height: Axis
  private let width: Axis
  /// The transformed weights, [products², outputs, inputs].
  private let weight: Tensor
  /// The bias, [products², 1, outputs], zero except for one product.
  private let bias: Tensor
  /// The transform of the output, [tile², products²].
  private let outputTransform: Tensor

  /// One dimension of the input and its transform. The transform is [tiles · products, size].
  private struct Axis {
    let size: Int
    let tiles: Int
    let transform: Tensor

    init(_ algorithm: BilinearAlgorithm, size: Int, padding: Int, like weight: Tensor) {
      self.size = size
      tiles = (size + 2 * padding - algorithm.taps + 1) / algorithm.outputs
      let rows = (0..<tiles).flatMap { tile in
        algorithm.inputTransform.map { row in
          let first = tile * algorithm.outputs - padding
          return (0..<size).map { row.indices.contains($0 - first) ? row[$0 - first] : 0 }
        }
      }
      transform = Tensor(rows).to(weight.dtype).to(weight.device)
    }
  }

  /// Returns true if the algorithm's tiles cover the output of `layer` exactly.
  static func fits(_ layer: Conv2d, _ algorithm: BilinearAlgorithm, height: Int, width: Int) -> Bool {
    layer.stride == 1 && layer.dilation == 1 && layer.groups == 1
      && layer.weight.value.shape.suffix(2) == [algorithm.taps, algorithm.taps]
      && [height, width].allSatisfy {
        let size = $0 + 2 * layer.padding - algorithm.taps + 1
        return size > 0 && size % algorithm.outputs == 0
      }
  }

  /// Copies and transforms the weights of a layer for which `fits` returns true.
  init(_ layer: Conv2d, _ algorithm: BilinearAlgorithm, height: Int, width: Int) {
    direct = DirectConvolution(layer)
    let original = layer.weight.value.detached()
    let shape = original.shape
    outputs = shape[0]
    channels = shape[1]
    products = algorithm.products
    tile = algorithm.outputs
    self.height = Axis(algorithm, size: height, padding: layer.padding, like: original)
    self.width = Axis(algorithm, size: width, padding: layer.padding, like: original)
    // The transform of the weights runs in double precision, so it adds only the rounding of its result.
    (weight, bias, outputTransform) = withNoGrad {
      let transform = Self.twoDimensional(algorithm.weightTransform).to(original.device)
      let flat = original.to(.float64).reshaped(to: [shape[0] * shape[1], shape[2] * shape[3]])
      let weight = transform.matmul(flat.transposed(0, 1)).to(original.dtype).reshaped(to: [-1, shape[0], shape[1]])
      let bias = Tensor.zeros(
        [algorithm.products * algorithm.products, 1, shape[0]], dtype: original.dtype, device: original.device)
      if let given = layer.bias?.value { bias[algorithm.biasProduct * (algorithm.products + 1), 0].copyInPlace(from: given) }
      return (weight, bias, Self.twoDimensional(algorithm.outputTransform).to(original.dtype).to(original.device))
    }
  }

  /// Returns the transform of a square tile, for both dimensions at once.
  private static func twoDimensional(_ matrix: BilinearAlgorithm.Matrix) -> Tensor {
    let tensor = Tensor(matrix)
    return Op.kron(tensor, tensor)
  }

  /// Convolves images [N, inputs, H, W] to [N, outputs, H', W'] in channels-last order.
  func callAsFunction(_ input: Tensor) -> Tensor {
    let shape = input.shape
    require(
      shape.count == 4 && shape.suffix(3) == [channels, height.size, width.size],
      "a convolution prepared for images of shape \([channels, height.size, width.size]) got an input of shape \(shape)")
    let n = shape[0]
    let rows = n * height.tiles * width.tiles
    if rows < Self.fewestRows { return direct(input) }
    let columnwise = height.transform.matmul(input.permuted(0, 2, 3, 1).reshaped(to: [n, height.size, width.size * channels]))
    let transformed = width.transform
      .matmul(columnwise.reshaped(to: [n * height.tiles * products, width.size, channels]))
      .reshaped(to: [n, height.tiles, products, width.tiles, products, channels])
      .permuted(0, 1, 3, 2, 4, 5).reshaped(to: [rows, products * products, channels])
    let multiplied = rows < Self.fewestRowsOfGroupedConvolution ? batchedProduct(transformed) : groupedProduct(transformed, rows)
    return outputTransform.matmul(multiplied).reshaped(to: [n, height.tiles, width.tiles, tile, tile, outputs]).permuted(
      0, 1, 3, 2, 4, 5
    ).reshaped(to: [n, height.tiles * tile, width.tiles * tile, outputs]).permuted(0, 3, 1, 2)
  }

  /// Maps [rows, products², inputs] to [rows, products², outputs] by products² matrix products.
  private func batchedProduct(_ input: Tensor) -> Tensor {
    Op.baddbmm(.tensor(bias), .tensor(input.transposed(0, 1)), .tensor(weight.transposed(1, 2))).transposed(0, 1)
  }

  /// Does the same by one grouped convolution with a 1 x 1 kernel. Its groups are the products, and its pixels are the rows.
  private func groupedProduct(_ input: Tensor, _ rows: Int) -> Tensor {
    let groups = products * products
    return input.reshaped(to: [1, rows, 1, groups * channels]).permuted(0, 3, 1, 2)
      .conv2d(weight: weight.reshaped(to: [groups * outputs, channels, 1, 1]), bias: bias.flattened(), groups: groups)
      .permuted(0, 2, 3, 1).reshaped(to: [rows, groups, outputs])
  }
}
