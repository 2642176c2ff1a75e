import SwiftTorch

@testable import SAT

/// A matrix stored in full.
struct DenseMatrix: SymmetricOperator {
  let matrix: Tensor
  var size: Int { matrix.size(0) }
  var dtype: DType { matrix.dtype }
  var device: Device { .cpu }

  func product(_ vector: Tensor) -> Tensor { matrix.matmul(vector) }

  /// A symmetric matrix with the given eigenvalues and random eigenvectors.
  init(eigenvalues: [Double], seed: UInt64 = 0) {
    let n = eigenvalues.count
    let draw = Tensor.randn([n, n], generator: Generator(seed: seed), dtype: .float64)
    let vectors = (draw + draw.transposed(0, 1)).eigh().vectors
    self.matrix = (vectors * Tensor(eigenvalues)).matmul(vectors.transposed(0, 1))
  }

  init(_ matrix: Tensor) { self.matrix = matrix }
}

/// Small networks in float64 with Hessians that fit in memory.
enum SmallNetworks {
  /// A network with all layers of the catalogue's networks: strided, padded and bias-free convolutions, BatchNorm, pooling, a
  /// shortcut.
  final class Residual: Module, Layer {
    let conv1: Conv2d
    let norm: BatchNorm2d
    let conv2: Conv2d
    let shortcut: Conv2d
    let fc: Linear

    init(_ generator: Generator) {
      conv1 = Conv2d(1, 3, kernel: 3, stride: 2, padding: 1, generator: generator)
      norm = BatchNorm2d(3)
      conv2 = Conv2d(3, 4, kernel: 2, bias: false, generator: generator)
      shortcut = Conv2d(3, 4, kernel: 2, generator: generator)
      fc = Linear(4, 3, generator: generator)
      super.init()
      withNoGrad {
        norm.weight.value.uniformInPlace(in: 0.5...1.5, generator: generator)
        norm.bias.value.normalInPlace(standardDeviation: 0.3, generator: generator)
      }
      norm.runningMean.value = Tensor.randn([3], generator: generator) * 0.1
      norm.runningVariance.value = Tensor.rand([3], generator: generator) + 0.5
    }

    func callAsFunction(_ input: Tensor) -> Tensor {
      let x = norm(conv1(input)).reluInPlace()
      let y = (conv2(x) + shortcut(x)).reluInPlace()
      return fc(y.adaptiveAveragePool2d(1).flattened(from: 1))
    }
  }

  /// Two linear layers; the network never calls one.
  final class WithDeadLayer: Module, Layer {
    let used: Linear
    let unused: Linear

    init(_ generator: Generator) {
      used = Linear(36, 3, generator: generator)
      unused = Linear(2, 2, generator: generator)
    }

    func callAsFunction(_ input: Tensor) -> Tensor { used(input.flattened(from: 1)) }
  }

  /// A parameter outside the layers that the linearized passes support.
  final class WithOwnParameter: Module, Layer {
    let scale: Parameter
    let fc: Linear

    init(_ generator: Generator) {
      scale = Parameter(Tensor.rand([36], generator: generator))
      fc = Linear(36, 3, generator: generator)
    }

    func callAsFunction(_ input: Tensor) -> Tensor { fc((input.flattened(from: 1) * scale.value).tanh()) }
  }

  /// A weight that the network uses outside its layer too.
  final class WithTiedWeight: Module, Layer {
    let fc: Linear
    let head: Linear

    init(_ generator: Generator) {
      fc = Linear(36, 4, generator: generator)
      head = Linear(4, 3, generator: generator)
    }

    func callAsFunction(_ input: Tensor) -> Tensor {
      let x = input.flattened(from: 1)
      return head((fc(x) + x.linear(weight: fc.weight.value.square())).tanh())
    }
  }

  /// One layer called twice.
  final class Recurrent: Module, Layer {
    let fc: Linear
    let head: Linear

    init(_ generator: Generator) {
      fc = Linear(36, 36, generator: generator)
      head = Linear(36, 3, generator: generator)
    }

    func callAsFunction(_ input: Tensor) -> Tensor { head(fc(fc(input.flattened(from: 1)).tanh()).tanh()) }
  }

  static let names = ["residual", "tanh", "groups", "softmax-regression", "dead", "own-parameter", "tied", "recurrent"]

  static func make(_ name: String, dtype: DType = .float64) -> NetworkClassifier {
    let generator = Generator(seed: 3)
    let module: any Layer =
      switch name {
      case "residual": Residual(generator)
      case "tanh":
        Sequential(
          Conv2d(1, 3, kernel: 3, generator: generator), Activation { $0.tanh() }, Flatten(), Linear(48, 5, generator: generator),
          Activation { $0.softplus() }, Linear(5, 3, generator: generator))
      case "groups":
        Sequential(
          Conv2d(1, 4, kernel: 3, generator: generator), ReLU(), Conv2d(4, 4, kernel: 3, groups: 2, generator: generator),
          Flatten(),
          Linear(16, 3, generator: generator))
      case "dead": WithDeadLayer(generator)
      case "own-parameter": WithOwnParameter(generator)
      case "tied": WithTiedWeight(generator)
      case "recurrent": Recurrent(generator)
      default: Sequential(Flatten(), Linear(36, 3, generator: generator))
      }
    module.convert(to: dtype)
    module.setTraining(false)
    return NetworkClassifier(module, architecture: Architecture(name: name), normalization: nil)
  }

  static func data(_ count: Int, dtype: DType = .float64) -> (images: Tensor, labels: Tensor) {
    let generator = Generator(seed: 5)
    return (
      Tensor.rand([count, 1, 6, 6], generator: generator, dtype: dtype), Tensor.randint(0..<3, [count], generator: generator)
    )
  }
}

/// The full Hessian of the mean loss, row by row from autograd: the reference of all tests.
func denseHessian(_ classifier: NetworkClassifier, _ images: Tensor, _ labels: Tensor) throws -> Tensor {
  let parameters = classifier.module.parameters.map(\.value)
  let layout = ParameterLayout(parameters)
  let loss = try classifier.logits(images).crossEntropy(labels)
  let gradients = try Tensor.checkedGradients(of: [loss], withRespectTo: parameters, createGraph: true)
  let gradient = Tensor.concatenated(zip(gradients, parameters).map { ($0 ?? Tensor.zeros(like: $1)).reshaped(to: -1) })
  let rows = try (0..<layout.count).map { i -> Tensor in
    guard gradient[i].requiresGrad else { return Tensor.zeros([layout.count], dtype: gradient.dtype) }
    let row = try Tensor.checkedGradients(of: [gradient[i]], withRespectTo: parameters, retainGraph: true)
    return layout.joined(zip(row, parameters).map { $0 ?? Tensor.zeros(like: $1.detached()) })
  }
  return Tensor.stacked(rows)
}
