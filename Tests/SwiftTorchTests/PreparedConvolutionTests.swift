import Testing

@testable import SwiftTorch

@Suite struct PreparedConvolutionTests {
  /// A convolution, an input size, and a batch size.
  struct Case: Sendable, CustomStringConvertible {
    var inputs: Int
    var outputs: Int
    var kernel: Int
    var stride = 1
    var padding = 0
    var size: (height: Int, width: Int)
    var batch: Int
    var bias = true

    var description: String {
      "\(inputs)→\(outputs) k\(kernel) s\(stride) p\(padding) \(size.height)×\(size.width) batch \(batch)\(bias ? "" : " no bias")"
    }

    /// Bias left out of the initialisation's narrow range, so that a misplaced one is seen.
    func layer(_ generator: Generator, dtype: DType = .float64) -> Conv2d {
      let layer = Conv2d(inputs, outputs, kernel: kernel, stride: stride, padding: padding, bias: bias, generator: generator)
      if let value = layer.bias?.value { Initialization.normal(value, generator: generator) }
      layer.convert(to: dtype)
      return layer
    }

    func input(_ generator: Generator, dtype: DType = .float64) -> Tensor {
      Tensor.randn([batch, inputs, size.height, size.width], generator: generator, dtype: dtype)
    }
  }

  /// Output and the input's gradient under a fixed, uneven seed.
  private static func run(_ function: (Tensor) -> Tensor, _ input: Tensor) -> (output: Tensor, gradient: Tensor) {
    let leaf = input.detached().requireGrad()
    let output = function(leaf)
    let seed = Tensor.randn(output.shape, generator: Generator(seed: 11), dtype: .float64).to(output.dtype)
    return (output.detached(), Tensor.gradient(of: output, withRespectTo: leaf, seed: seed))
  }

  private static func distance(_ a: Tensor, _ b: Tensor) -> Double { (a.to(.float64) - b.to(.float64)).abs().max().item() }

  private static func expectEqual(_ prepared: (Tensor) -> Tensor, _ layer: Conv2d, _ input: Tensor) {
    let (expected, actual) = (run({ layer($0) }, input), run(prepared, input))
    #expect(actual.output.shape == expected.output.shape)
    #expect(distance(actual.output, expected.output) <= 1e-10)
    #expect(distance(actual.gradient, expected.gradient) <= 1e-10)
  }

  // MARK: Coefficients

  @Test(
    arguments: [
      (4, 5, [0, 1, -1, 0.5, -2]), (2, 5, [0, 1, -1]), (4, 3, [0, 1, -1]), (3, 3, [1, -2]), (6, 1, [2, 1, 0]),
    ] as [(Int, Int, [Double])])
  func theCoefficientsAreACorrelation(_ outputs: Int, _ taps: Int, _ points: [Double]) {
    let algorithm = BilinearAlgorithm(outputs: outputs, taps: taps, points: points)
    // Bilinear in weights and inputs, so the unit vectors prove it for all.
    var worst = 0.0
    for tap in 0..<algorithm.taps {
      for place in 0..<algorithm.inputs {
        for output in 0..<algorithm.outputs {
          let sum = (0..<algorithm.products).reduce(0.0) {
            $0 + algorithm.outputTransform[output][$1] * algorithm.weightTransform[$1][tap] * algorithm.inputTransform[$1][place]
          }
          worst = max(worst, abs(sum - (place == tap + output ? 1 : 0)))
        }
      }
    }
    #expect(worst <= 1e-13)
    #expect(algorithm.products == algorithm.inputs + 1)
    #expect(algorithm.outputTransform.allSatisfy { $0[algorithm.biasProduct] == 1 })
  }

  // MARK: Forms, in double precision

  // Rows on both sides of where the products are computed in another way.
  static let bilinear = [
    Case(inputs: 3, outputs: 5, kernel: 5, size: (8, 8), batch: 1),
    Case(inputs: 3, outputs: 5, kernel: 5, size: (8, 8), batch: 8),
    Case(inputs: 4, outputs: 3, kernel: 5, size: (8, 8), batch: 47),
    Case(inputs: 4, outputs: 3, kernel: 5, size: (8, 8), batch: 49),
    Case(inputs: 2, outputs: 7, kernel: 5, padding: 2, size: (8, 8), batch: 5),
    Case(inputs: 6, outputs: 2, kernel: 5, padding: 1, size: (6, 14), batch: 17),
    Case(inputs: 1, outputs: 1, kernel: 5, size: (16, 8), batch: 3, bias: false),
    Case(inputs: 5, outputs: 4, kernel: 5, padding: 4, size: (4, 8), batch: 31, bias: false),
    Case(inputs: 3, outputs: 2, kernel: 5, size: (8, 8), batch: 0),
  ]

  @Test(arguments: bilinear)
  func theBilinearFormIsTheConvolution(_ given: Case) {
    let generator = Generator(seed: 1)
    let layer = given.layer(generator)
    let algorithm = BilinearAlgorithm.fourOutputsOfFiveTaps
    #expect(BilinearConvolution.fits(layer, algorithm, height: given.size.height, width: given.size.width))
    let prepared = BilinearConvolution(layer, algorithm, height: given.size.height, width: given.size.width)
    let input = given.input(generator)
    if given.batch == 0 {
      #expect(prepared(input).shape == layer(input).shape)
    } else {
      Self.expectEqual(prepared.callAsFunction, layer, input)
      Self.expectEqual(prepared.callAsFunction, layer, input.contiguous(.channelsLast))
    }
  }

  @Test func theBilinearFormServesOtherAlgorithms() {
    let generator = Generator(seed: 2)
    let given = Case(inputs: 3, outputs: 4, kernel: 3, padding: 1, size: (8, 12), batch: 5)
    let layer = given.layer(generator)
    let prepared = BilinearConvolution(layer, BilinearAlgorithm(outputs: 4, taps: 3, points: [0, 1, -1]), height: 8, width: 12)
    Self.expectEqual(prepared.callAsFunction, layer, given.input(generator))
  }

  @Test func theBilinearFormFitsWhatItsTilesCover() {
    let generator = Generator(seed: 3)
    func fits(_ size: Int, kernel: Int = 5, stride: Int = 1, padding: Int = 0, dilation: Int = 1, groups: Int = 1) -> Bool {
      let layer = Conv2d(
        2, 2, kernel: kernel, stride: stride, padding: padding, dilation: dilation, groups: groups, generator: generator)
      return BilinearConvolution.fits(layer, .fourOutputsOfFiveTaps, height: size, width: size)
    }
    #expect(fits(8) && fits(12) && fits(8, padding: 2))
    #expect(!fits(9) && !fits(3) && !fits(4))
    #expect(!fits(8, kernel: 3) && !fits(8, stride: 2) && !fits(16, dilation: 2) && !fits(8, groups: 2))
  }

  static let rowUnfolded = [
    Case(inputs: 1, outputs: 4, kernel: 8, stride: 2, padding: 3, size: (28, 28), batch: 3),
    Case(inputs: 3, outputs: 5, kernel: 7, stride: 2, padding: 3, size: (17, 20), batch: 2),
    Case(inputs: 2, outputs: 3, kernel: 5, padding: 2, size: (9, 7), batch: 5),
    Case(inputs: 3, outputs: 2, kernel: 4, stride: 4, size: (14, 12), batch: 1, bias: false),
    Case(inputs: 1, outputs: 6, kernel: 5, stride: 3, padding: 1, size: (12, 13), batch: 7),
    Case(inputs: 1, outputs: 2, kernel: 2, stride: 3, size: (11, 10), batch: 4),
    Case(inputs: 2, outputs: 1, kernel: 6, stride: 2, size: (6, 6), batch: 1),
    Case(inputs: 2, outputs: 2, kernel: 1, stride: 2, size: (5, 6), batch: 2),
    Case(inputs: 1, outputs: 4, kernel: 3, padding: 1, size: (7, 9), batch: 3),
    Case(inputs: 3, outputs: 2, kernel: 3, size: (5, 6), batch: 2, bias: false),
  ]

  @Test(arguments: rowUnfolded)
  func theRowUnfoldedFormIsTheConvolution(_ given: Case) {
    let generator = Generator(seed: 4)
    let layer = given.layer(generator)
    let prepared = RowUnfoldedConvolution(layer)
    let input = given.input(generator)
    Self.expectEqual(prepared.callAsFunction, layer, input)
    Self.expectEqual(prepared.callAsFunction, layer, input.contiguous(.channelsLast))
  }

  @Test func theDirectFormKeepsEveryOption() {
    let generator = Generator(seed: 5)
    let layer = Conv2d(4, 6, kernel: 3, stride: 2, padding: 2, dilation: 2, groups: 2, generator: generator)
    layer.convert(to: .float64)
    let input = Tensor.randn([3, 4, 11, 9], generator: generator, dtype: .float64)
    Self.expectEqual(layer.prepared(inputShape: [4, 11, 9]), layer, input)
  }

  // MARK: Choice

  @Test func thePreparedKindFollowsTheShape() {
    func kind(_ given: Case, dtype: DType = .float64) -> String {
      switch given.layer(Generator(seed: 6)).fastestPreparedKind(height: given.size.height, width: given.size.width, dtype: dtype) {
      case .direct: "direct"
      case .rowUnfolded: "rows"
      case .bilinear: "bilinear"
      }
    }
    let first = Case(inputs: 1, outputs: 64, kernel: 8, stride: 2, padding: 3, size: (28, 28), batch: 1)
    #expect(kind(first) == "rows")
    #expect(kind(first, dtype: .bfloat16) == "rows")
    #expect(kind(first, dtype: .float16) == "direct")
    #expect(kind(Case(inputs: 16, outputs: 64, kernel: 8, stride: 2, size: (28, 28), batch: 1)) == "direct")
    #expect(kind(Case(inputs: 3, outputs: 64, kernel: 3, padding: 1, size: (32, 32), batch: 1)) == "direct")
    #expect(kind(Case(inputs: 64, outputs: 128, kernel: 6, stride: 2, padding: 3, size: (14, 14), batch: 1)) == "direct")
    #expect(kind(Case(inputs: 128, outputs: 128, kernel: 5, size: (8, 8), batch: 1)) == "bilinear")
    #expect(kind(Case(inputs: 128, outputs: 128, kernel: 5, size: (8, 8), batch: 1), dtype: .bfloat16) == "direct")
    #expect(kind(Case(inputs: 128, outputs: 128, kernel: 5, padding: 2, size: (8, 8), batch: 1)) == "bilinear")
    #expect(kind(Case(inputs: 128, outputs: 128, kernel: 5, size: (10, 8), batch: 1)) == "direct")
    #expect(kind(Case(inputs: 64, outputs: 64, kernel: 5, size: (8, 8), batch: 1)) == "direct")
  }

  @Test func aLayerWithoutAPreparedFormStandsForItself() {
    let generator = Generator(seed: 7)
    let network = Sequential(Flatten(), Linear(12, 3, generator: generator))
    let input = Tensor.randn([2, 3, 2, 2], generator: generator)
    #expect(network.preparedIfPossible(inputShape: [3, 2, 2])(input).isEqual(to: network(input)))
    let layer = Conv2d(1, 4, kernel: 6, generator: generator)
    let image = Tensor.randn([2, 1, 8, 8], generator: generator)
    #expect(layer.preparedIfPossible(inputShape: [1, 8, 8])(image).isClose(to: layer(image), absolute: 1e-6))
  }

  @Test(arguments: [
    Case(inputs: 1, outputs: 4, kernel: 8, stride: 2, padding: 3, size: (12, 12), batch: 2),
    Case(inputs: 128, outputs: 64, kernel: 5, size: (8, 8), batch: 9),
    Case(inputs: 4, outputs: 4, kernel: 3, size: (6, 6), batch: 2),
  ])
  func laterWeightsAreNotSeen(_ given: Case) {
    let generator = Generator(seed: 8)
    let layer = given.layer(generator)
    layer.setMemoryFormat(.channelsLast)
    let prepared = layer.prepared(inputShape: [given.inputs, given.size.height, given.size.width])
    let input = given.input(generator)
    let before = prepared(input)
    withNoGrad { for parameter in layer.parameters { parameter.value.fillInPlace(1) } }
    #expect(prepared(input).isEqual(to: before))
    #expect(!before.requiresGrad)
  }

  // MARK: Single precision

  static let single = [
    Case(inputs: 128, outputs: 128, kernel: 5, size: (8, 8), batch: 9),
    Case(inputs: 128, outputs: 128, kernel: 5, size: (8, 8), batch: 64),
    Case(inputs: 128, outputs: 128, kernel: 5, padding: 2, size: (8, 12), batch: 8),
    Case(inputs: 1, outputs: 64, kernel: 8, stride: 2, padding: 3, size: (28, 28), batch: 33),
    Case(inputs: 3, outputs: 32, kernel: 7, stride: 2, padding: 3, size: (32, 32), batch: 5),
  ]

  /// The root mean square error, which unlike the largest one hardly depends on the draw.
  private static func error(_ actual: Tensor, _ exact: Tensor) -> Double {
    (actual.to(.float64) - exact).square().mean().sqrt().item()
  }

  @Test(arguments: single)
  func singlePrecisionErrorIsOfTheDirectFormsOrder(_ given: Case) {
    let generator = Generator(seed: 9)
    let layer = given.layer(generator, dtype: .float32)
    let reference = given.layer(generator)
    withNoGrad { for (a, b) in zip(reference.parameters, layer.parameters) { a.value.copyInPlace(from: b.value) } }
    let input = given.input(generator, dtype: .float32)
    let exact = Self.run({ reference($0) }, input.to(.float64))
    let direct = Self.run(DirectConvolution(layer).callAsFunction, input.contiguous(.channelsLast))
    let prepared = Self.run(layer.prepared(inputShape: [given.inputs, given.size.height, given.size.width]), input)
    // Measured with the bilinear kind: 0.8 times the direct kind's error in the output, 2.3 times in the gradient.
    #expect(Self.error(prepared.output, exact.output) <= 1.5 * Self.error(direct.output, exact.output))
    #expect(Self.error(prepared.gradient, exact.gradient) <= 3 * Self.error(direct.gradient, exact.gradient))
  }

  @Test(arguments: single)
  func aSampleDoesNotDependOnItsBatch(_ given: Case) {
    let generator = Generator(seed: 10)
    let layer = given.layer(generator, dtype: .float32)
    let prepared = layer.prepared(inputShape: [given.inputs, given.size.height, given.size.width])
    let input = given.input(generator, dtype: .float32)
    let together = prepared(input)
    for sample in [0, given.batch / 2, given.batch - 1] {
      #expect(Self.distance(prepared(input[sample..<sample + 1]), together[sample..<sample + 1]) <= 2e-5)
    }
    // Other batch mates, also ones that are not finite, leave a sample's value as it is to the bit.
    let others = input.cloned()
    others[0..<1] = Tensor.full([1] + Array(input.shape.dropFirst()), Double.nan)
    #expect(prepared(others)[1...].isEqual(to: together[1...]))
  }
}
