public import SwiftTorch

/// A symmetric matrix known only by its products with vectors, such as the Hessian of a network's loss.
public protocol SymmetricOperator {
  /// The number of rows and of columns.
  var size: Int { get }
  /// The dtype of the vectors.
  var dtype: DType { get }
  var device: Device { get }

  /// Returns the product with a vector [size].
  func product(_ vector: Tensor) throws(TorchError) -> Tensor
}

extension SymmetricOperator {
  /// Returns a random direction of length 1 from normal draws on the CPU, so it is the same for every device.
  func randomDirection(_ generator: Generator) -> Tensor {
    let drawn = Tensor.randn([size], generator: generator, dtype: dtype).to(device)
    return drawn / drawn.norm()
  }
}

/// An eigenvalue found by a solver, with its vector and residual.
public struct EigenPair {
  public var value: Double
  /// The eigenvector, [size], of length 1.
  public var vector: Tensor
  /// The residual ‖Hv − λv‖ / |λ|: an eigenvalue lies within this fraction of `value`. It is 0 for an exact eigenvalue 0.
  public var residual: Double
  /// The number of products with the matrix.
  public var iterations: Int
  /// True if the tolerances were met before the iterations ran out.
  public var isConverged: Bool
}
