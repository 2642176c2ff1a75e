public import SwiftTorch

/// The order of a network's parameters in one vector: one after another, each in row-major order.
public struct ParameterLayout: Sendable {
  public let shapes: [[Int]]
  /// The length of the vector.
  public let count: Int

  public init(_ parameters: [Tensor]) {
    shapes = parameters.map(\.shape)
    count = parameters.reduce(0) { $0 + $1.count }
  }

  /// Joins tensors of the parameters' shapes into one vector [count].
  public func joined(_ parts: [Tensor]) -> Tensor {
    let given = parts.map(\.shape)
    precondition(given == shapes, "ParameterLayout: parts of shapes \(given); expected \(shapes)")
    return parts.isEmpty ? .zeros(0) : Tensor.concatenated(parts.map { $0.reshaped(to: -1) })
  }

  /// Returns the parts of a vector [count], as views in the parameters' shapes.
  public func parts(of vector: Tensor) -> [Tensor] {
    var start = 0
    return shapes.map { shape in
      let length = shape.reduce(1, *)
      defer { start += length }
      return vector[start..<start + length].reshaped(to: shape)
    }
  }
}

extension LoadedModel {
  /// Returns the values of all parameters with a gradient.
  public func parameters() throws(TorchError) -> [Tensor] { try classifier.differentiableParameters() }
}

extension Classifier {
  /// Returns all parameters of a floating-point type, with `requiresGrad` set.
  func differentiableParameters() throws(TorchError) -> [Tensor] {
    switch self {
    case let network as NetworkClassifier: return network.module.parameters.map(\.value)
    case let script as ScriptClassifier:
      let parameters = try script.script.namedParameters()
      if let complex = parameters.first(where: \.tensor.dtype.isComplex) {
        throw TorchError(
          .type,
          "\(script.script.name) has the complex parameter \(complex.name), and derivatives in the weights need real ones; store "
            + "its real and imaginary parts, or make it a buffer")
      }
      return parameters.map(\.tensor).filter(\.dtype.isFloatingPoint).map { $0.requireGrad() }
    default: return []
    }
  }
}
