public import SwiftTorch

/// A symmetric matrix that is known by its products with vectors only, as the Hessian of a network's loss is.
public protocol SymmetricOperator {
  /// Rows, and columns.
  var size: Int { get }
  /// Of the vectors it multiplies.
  var dtype: DType { get }
  var device: Device { get }

  /// The product with a vector [size].
  func product(_ vector: Tensor) throws(TorchError) -> Tensor
}

extension SymmetricOperator {
  /// A standard normal vector of length 1, drawn on the CPU whatever the device.
  func randomDirection(_ generator: Generator) -> Tensor {
    let drawn = Tensor.randn([size], generator: generator, dtype: dtype).to(device)
    return drawn / drawn.norm()
  }
}

/// An eigenvalue as a solver found it.
public struct EigenPair {
  public var value: Double
  /// [size], of length 1.
  public var vector: Tensor
  /// ‖Hv − λv‖ / |λ|: an eigenvalue lies within this fraction of `value`. 0 where the eigenvalue is 0 and met exactly.
  public var residual: Double
  /// Products with the matrix that it took.
  public var iterations: Int
  /// Whether the tolerances were met before the iterations ran out.
  public var isConverged: Bool
}
