/// Overwrites tensors as PyTorch's `torch.nn.init` does, with the same draws from the same generator state, and returns them.
public enum Initialization {
  @TaskLocal private static var isSkipped = false

  /// Runs `body` without random initialisation, for a network that loads its weights next (`torch.nn.utils.skip_init`).
  public static func skipping<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    try $isSkipped.withValue(true) { () -> Result<R, E> in
      do throws(E) { return .success(try body()) } catch { return .failure(error) }
    }.get()
  }

  /// The connections that `fan` counts: the inputs or the outputs of one unit.
  public enum Fan: Sendable { case input, output }

  /// The nonlinearities that `calculate_gain` knows.
  public enum Nonlinearity: Sendable {
    case linear, sigmoid, tanh, relu
    case leakyRelu(negativeSlope: Double)

    /// The factor that keeps the variance through the nonlinearity (`calculate_gain`).
    public var gain: Double {
      switch self {
      case .linear, .sigmoid: 1
      case .tanh: 5.0 / 3
      case .relu: 2.0.squareRoot()
      case .leakyRelu(let slope): (2 / (1 + slope * slope)).squareRoot()
      }
    }
  }

  /// Counts the inputs and outputs of one unit of a weight [out, in, …] (`_calculate_fan_in_and_fan_out`).
  static func fans(_ weight: Tensor) -> (input: Int, output: Int) {
    let shape = weight.shape
    require(shape.count >= 2, "a weight of shape \(shape) has no fan; expected at least two dimensions")
    let field = shape.dropFirst(2).reduce(1, *)
    return (shape[1] * field, shape[0] * field)
  }

  /// Draws from the uniform distribution on `range` (`uniform_`).
  @discardableResult public static func uniform(_ tensor: Tensor, in range: ClosedRange<Double>, generator: Generator) -> Tensor {
    isSkipped ? tensor : withNoGrad { tensor.uniformInPlace(in: range, generator: generator) }
  }

  /// Draws from a normal distribution (`normal_`).
  @discardableResult public static func normal(
    _ tensor: Tensor, mean: Double = 0, standardDeviation: Double = 1, generator: Generator
  ) -> Tensor {
    isSkipped ? tensor : withNoGrad { tensor.normalInPlace(mean: mean, standardDeviation: standardDeviation, generator: generator) }
  }

  /// Sets every element to `value` (`constant_`).
  @discardableResult
  public static func constant(_ tensor: Tensor, _ value: Double) -> Tensor { withNoGrad { tensor.fillInPlace(value) } }

  /// Draws uniformly on ±gain·√(3/fan) (`kaiming_uniform_`).
  @discardableResult public static func kaimingUniform(
    _ weight: Tensor, fan: Fan = .input, nonlinearity: Nonlinearity = .leakyRelu(negativeSlope: 0), generator: Generator
  ) -> Tensor {
    uniform(weight, deviation: kaimingDeviation(weight, fan, nonlinearity), generator)
  }

  /// Draws from a normal distribution of standard deviation gain/√fan (`kaiming_normal_`).
  @discardableResult public static func kaimingNormal(
    _ weight: Tensor, fan: Fan = .input, nonlinearity: Nonlinearity = .leakyRelu(negativeSlope: 0), generator: Generator
  ) -> Tensor {
    normal(weight, standardDeviation: kaimingDeviation(weight, fan, nonlinearity), generator: generator)
  }

  /// Draws uniformly on ±gain·√(6/(fan_in + fan_out)) (`xavier_uniform_`).
  @discardableResult public static func xavierUniform(_ weight: Tensor, gain: Double = 1, generator: Generator) -> Tensor {
    uniform(weight, deviation: xavierDeviation(weight, gain), generator)
  }

  /// Draws from a normal distribution of standard deviation gain·√(2/(fan_in + fan_out)) (`xavier_normal_`).
  @discardableResult public static func xavierNormal(_ weight: Tensor, gain: Double = 1, generator: Generator) -> Tensor {
    normal(weight, standardDeviation: xavierDeviation(weight, gain), generator: generator)
  }

  private static func uniform(_ weight: Tensor, deviation: Double, _ generator: Generator) -> Tensor {
    let bound = 3.0.squareRoot() * deviation
    return uniform(weight, in: -bound...bound, generator: generator)
  }

  private static func kaimingDeviation(_ weight: Tensor, _ fan: Fan, _ nonlinearity: Nonlinearity) -> Double {
    nonlinearity.gain / Double(fan == .input ? fans(weight).input : fans(weight).output).squareRoot()
  }

  private static func xavierDeviation(_ weight: Tensor, _ gain: Double) -> Double {
    gain * (2.0 / Double(fans(weight).input + fans(weight).output)).squareRoot()
  }

  /// Draws the default of `nn.Linear` and `nn.Conv2d`: the weight, then the bias, both uniform on ±1/√fan_in.
  static func defaults(weight: Tensor, bias: Tensor?, generator: Generator) {
    kaimingUniform(weight, nonlinearity: .leakyRelu(negativeSlope: 5.0.squareRoot()), generator: generator)
    if let bias {
      let bound = 1 / Double(fans(weight).input).squareRoot()
      uniform(bias, in: -bound...bound, generator: generator)
    }
  }
}
