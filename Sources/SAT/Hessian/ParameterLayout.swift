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
    require(parts.map(\.shape), equals: shapes)
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

  private func require(_ given: [[Int]], equals expected: [[Int]]) {
    precondition(given == expected, "ParameterLayout: parts of shapes \(given); expected \(expected)")
  }
}
