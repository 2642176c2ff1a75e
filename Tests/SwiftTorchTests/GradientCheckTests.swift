import SwiftTorch
import Testing

/// A scalar function of float64 tensors. The test compares its gradients with central differences.
private struct Check: Sendable, CustomTestStringConvertible {
  let name: String
  let shapes: [[Int]]
  let function: @Sendable ([Tensor]) -> Tensor

  var testDescription: String { name }

  init(_ name: String, _ shapes: [[Int]], _ function: @escaping @Sendable ([Tensor]) -> Tensor) {
    self.name = name
    self.shapes = shapes
    self.function = function
  }
}

/// Sums with unequal weights, so that an output in the wrong place changes the result.
private func weighted(_ tensor: Tensor) -> Tensor {
  let weights = Tensor.arange(0..<tensor.count).to(.float64).cos().reshaped(to: tensor.shape)
  return (tensor * weights).sum()
}

private func normalised(_ inputs: [Tensor], training: Bool) -> Tensor {
  let layer = BatchNorm2d(2)
  layer.convert(to: .float64)
  layer.runningMean.value.copyInPlace(from: Tensor([0.3, -0.2]))
  layer.weight.value = inputs[1]
  layer.bias.value = inputs[2]
  layer.setTraining(training)
  return weighted(layer(inputs[0]))
}

private var labels: Tensor { Tensor([2, 0, 1]) }

private let checks: [Check] = [
  Check("cross-entropy, mean", [[3, 4]]) { $0[0].crossEntropy(labels) },
  Check("cross-entropy, smoothed sum", [[3, 4]]) { $0[0].crossEntropy(labels, reduction: .sum, labelSmoothing: 0.2) },
  Check("cross-entropy, per sample", [[3, 4]]) { weighted($0[0].crossEntropy(labels, reduction: .none)) },
  Check("negative log-likelihood", [[3, 4]]) { $0[0].negativeLogLikelihood(labels) },
  Check("KL divergence", [[3, 4], [3, 4]]) { $0[0].logSoftmax(dim: 1).klDivergence(from: $0[1].softmax(dim: 1)) },
  Check("KL divergence, log target", [[3, 4], [3, 4]]) {
    $0[0].logSoftmax(dim: 1).klDivergence(from: $0[1].logSoftmax(dim: 1), reduction: .mean, logTarget: true)
  },
  Check("squared error", [[3, 4], [3, 4]]) { $0[0].meanSquaredError($0[1]) },
  Check("linear", [[3, 4], [2, 4], [2]]) { weighted($0[0].linear(weight: $0[1], bias: $0[2])) },
  Check("convolution", [[2, 2, 5, 4], [3, 2, 3, 2], [3]]) { weighted($0[0].conv2d(weight: $0[1], bias: $0[2])) },
  Check("convolution, strided and padded", [[1, 2, 5, 5], [2, 2, 3, 3]]) {
    weighted($0[0].conv2d(weight: $0[1], stride: [2, 1], padding: [1, 0]))
  },
  Check("convolution, grouped and dilated", [[1, 2, 5, 5], [2, 1, 2, 2], [2]]) {
    weighted($0[0].conv2d(weight: $0[1], bias: $0[2], dilation: [2, 2], groups: 2))
  },
  Check("batch norm, training", [[3, 2, 2, 2], [2], [2]]) { normalised($0, training: true) },
  Check("batch norm, evaluation", [[3, 2, 2, 2], [2], [2]]) { normalised($0, training: false) },
  Check("max pooling", [[1, 2, 5, 5]]) { weighted($0[0].maxPool2d(3, stride: 2, padding: 1)) },
  Check("average pooling", [[1, 2, 5, 5]]) { weighted($0[0].averagePool2d(2)) + weighted($0[0].adaptiveAveragePool2d(3)) },
  Check("activations", [[3, 4]]) { inputs in
    let x = inputs[0]
    return [x.relu(), x.leakyRelu(), x.elu(), x.gelu(), x.silu(), x.softplus(), x.sigmoid(), x.tanh()]
      .map(weighted).reduce(Tensor(0.0), +)
  },
  Check("arithmetic", [[2, 3], [3]]) { weighted((2 - $0[0]) * $0[1] / (1 + $0[1].square()) + 3 / ($0[0].square() + 1)) },
]

@Suite struct GradientCheckTests {
  private func inputs(_ check: Check, seed: UInt64) -> [Tensor] {
    let generator = Generator(seed: seed)
    return check.shapes.map { Tensor.randn($0, generator: generator, dtype: .float64).requireGrad() }
  }

  /// Returns d function / d inputs[which] by central differences. The error is of the order of step² times the third derivative.
  private func difference(_ function: ([Tensor]) -> Double, _ inputs: [Tensor], _ which: Int) -> Tensor {
    let step = 1e-5
    let values = inputs[which].detached().array(of: Double.self)
    func moved(_ index: Int, by amount: Double) -> Double {
      var shifted = values
      shifted[index] += amount
      var replaced = inputs.map { $0.detached().requireGrad() }
      replaced[which] = Tensor(shifted, shape: inputs[which].shape).requireGrad()
      return function(replaced)
    }
    let slopes = values.indices.map { (moved($0, by: step) - moved($0, by: -step)) / (2 * step) }
    return Tensor(slopes, shape: inputs[which].shape)
  }

  @Test(arguments: checks) fileprivate func gradientsAgreeWithDifferences(_ check: Check) {
    let inputs = inputs(check, seed: 7)
    let gradients = Tensor.gradient(of: check.function(inputs), withRespectTo: inputs)
    for (i, gradient) in gradients.enumerated() {
      let expected = difference({ check.function($0).item() }, inputs, i)
      expectClose(gradient, expected, absolute: 1e-8, relative: 1e-6, "input \(i)")
    }
  }

  /// Attacks on models with a gradient penalty need second derivatives.
  @Test(arguments: checks.filter { ["cross-entropy, mean", "linear", "convolution", "batch norm, training"].contains($0.name) })
  fileprivate func secondDerivativesAgreeWithDifferences(_ check: Check) {
    let inputs = inputs(check, seed: 8)
    func penalty(_ inputs: [Tensor]) -> Tensor {
      Tensor.gradient(of: check.function(inputs).square(), withRespectTo: inputs[0], createGraph: true).square().sum()
    }
    let gradient = Tensor.gradient(of: penalty(inputs), withRespectTo: inputs[0])
    expectClose(gradient, difference({ penalty($0).item() }, inputs, 0), absolute: 1e-6, relative: 1e-5)
  }
}
