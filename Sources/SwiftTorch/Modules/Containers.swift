/// Layers applied in order (`nn.Sequential`). Its children are named "0", "1", ….
public final class Sequential: Module, Layer {
  public let layers: [any Layer]

  public override class var stateNames: [String: String] { ["layers": ""] }

  public init(_ layers: [any Layer]) { self.layers = layers }
  public convenience init(_ layers: any Layer...) { self.init(layers) }

  public func callAsFunction(_ input: Tensor) -> Tensor { layers.reduce(input) { $1($0) } }
}

/// [N, …] to [N, features] (`nn.Flatten`).
public final class Flatten: Module, Layer {
  public func callAsFunction(_ input: Tensor) -> Tensor { input.flattened(from: 1) }
}

/// `nn.ReLU`.
public final class ReLU: Module, Layer {
  public func callAsFunction(_ input: Tensor) -> Tensor { input.relu() }
}

/// A pointwise function as a layer, for `Sequential`: `Activation { $0.tanh() }`.
public final class Activation: Module, Layer {
  private let function: (Tensor) -> Tensor

  public init(_ function: @escaping (Tensor) -> Tensor) { self.function = function }

  public func callAsFunction(_ input: Tensor) -> Tensor { function(input) }
}

/// `nn.MaxPool2d` with a square window.
public final class MaxPool2d: Module, Layer {
  public let kernel: Int
  public let stride: Int
  public let padding: Int

  public init(_ kernel: Int, stride: Int? = nil, padding: Int = 0) {
    self.kernel = kernel
    self.stride = stride ?? kernel
    self.padding = padding
  }

  public func callAsFunction(_ input: Tensor) -> Tensor { input.maxPool2d(kernel, stride: stride, padding: padding) }
}

/// `nn.AvgPool2d` with a square window.
public final class AvgPool2d: Module, Layer {
  public let kernel: Int
  public let stride: Int
  public let padding: Int

  public init(_ kernel: Int, stride: Int? = nil, padding: Int = 0) {
    self.kernel = kernel
    self.stride = stride ?? kernel
    self.padding = padding
  }

  public func callAsFunction(_ input: Tensor) -> Tensor { input.averagePool2d(kernel, stride: stride, padding: padding) }
}

/// `nn.AdaptiveAvgPool2d` to a square output.
public final class AdaptiveAvgPool2d: Module, Layer {
  public let size: Int

  public init(_ size: Int) { self.size = size }

  public func callAsFunction(_ input: Tensor) -> Tensor { input.adaptiveAveragePool2d(size) }
}

/// Drops values in training mode and passes them through otherwise (`nn.Dropout`).
public final class Dropout: Module, Layer {
  public let p: Double
  private let generator: Generator

  /// - Parameters:
  ///   - p: probability of dropping a value, 0 <= p < 1.
  ///   - generator: every mask is drawn from it.
  public init(_ p: Double = 0.5, generator: Generator) {
    self.p = p
    self.generator = generator
  }

  public func callAsFunction(_ input: Tensor) -> Tensor { isTraining && p > 0 ? input.dropout(p, generator: generator) : input }
}
