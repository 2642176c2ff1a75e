/// Applies layers in order (`nn.Sequential`). The children have the names "0", "1", ….
public final class Sequential: Module, Layer {
  public let layers: [any Layer]

  public override class var stateNames: [String: String] { ["layers": ""] }

  public init(_ layers: [any Layer]) { self.layers = layers }
  public convenience init(_ layers: any Layer...) { self.init(layers) }

  public func callAsFunction(_ input: Tensor) -> Tensor { layers.reduce(input) { $1($0) } }
}

/// Flattens [N, …] to [N, features] (`nn.Flatten`).
public final class Flatten: Module, Layer { public func callAsFunction(_ input: Tensor) -> Tensor { input.flattened(from: 1) } }

/// Computes max(x, 0) (`nn.ReLU`).
public final class ReLU: Module, Layer { public func callAsFunction(_ input: Tensor) -> Tensor { input.relu() } }

/// Wraps a pointwise function as a layer for `Sequential`: `Activation { $0.tanh() }`.
public final class Activation: Module, Layer {
  private let function: (Tensor) -> Tensor

  public init(_ function: @escaping (Tensor) -> Tensor) { self.function = function }

  public func callAsFunction(_ input: Tensor) -> Tensor { function(input) }
}

/// A layer that pools square windows. The default stride is the size of the window.
public class Pool2d: Module {
  public let kernel: Int
  public let stride: Int
  public let padding: Int

  public init(_ kernel: Int, stride: Int? = nil, padding: Int = 0) {
    self.kernel = kernel
    self.stride = stride ?? kernel
    self.padding = padding
  }
}

/// Takes the maximum of each square window (`nn.MaxPool2d`).
public final class MaxPool2d: Pool2d, Layer {
  public func callAsFunction(_ input: Tensor) -> Tensor { input.maxPool2d(kernel, stride: stride, padding: padding) }
}

/// Takes the mean of each square window (`nn.AvgPool2d`).
public final class AvgPool2d: Pool2d, Layer {
  public func callAsFunction(_ input: Tensor) -> Tensor { input.averagePool2d(kernel, stride: stride, padding: padding) }
}

/// Averages images down to a square output of `size` x `size` (`nn.AdaptiveAvgPool2d`).
public final class AdaptiveAvgPool2d: Module, Layer {
  public let size: Int

  public init(_ size: Int) { self.size = size }

  public func callAsFunction(_ input: Tensor) -> Tensor { input.adaptiveAveragePool2d(size) }
}

/// Drops each value with probability `p`, 0 <= p < 1, in training mode, and none in evaluation mode (`nn.Dropout`).
public final class Dropout: Module, Layer {
  public let p: Double
  private let generator: Generator

  /// Makes a layer that draws every mask from the generator.
  public init(_ p: Double = 0.5, generator: Generator) {
    self.p = p
    self.generator = generator
  }

  public func callAsFunction(_ input: Tensor) -> Tensor { isTraining && p > 0 ? input.dropout(p, generator: generator) : input }
}
