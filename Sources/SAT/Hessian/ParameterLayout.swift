public import SwiftTorch

/// How a network's parameters lie in one vector: one after another, each in row-major order.
public struct ParameterLayout: Sendable {
  public let shapes: [[Int]]
  /// Length of the vector.
  public let count: Int

  public init(_ parameters: [Tensor]) {
    shapes = parameters.map(\.shape)
    count = parameters.reduce(0) { $0 + $1.count }
  }

  /// One vector [count] of tensors of the parameters' shapes.
  public func joined(_ parts: [Tensor]) -> Tensor {
    require(parts.map(\.shape), equals: shapes)
    return parts.isEmpty ? .zeros(0) : Tensor.concatenated(parts.map { $0.reshaped(to: -1) })
  }

  /// The parts of a vector [count], as views of the parameters' shapes.
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
