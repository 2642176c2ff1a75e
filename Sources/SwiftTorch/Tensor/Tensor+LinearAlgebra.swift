extension Tensor {
  /// `input + self.matmul(other)` for batches of matrices in one pass (`torch.baddbmm`).
  public func matmul(_ other: Tensor, addingTo input: Tensor) -> Tensor {
    Op.baddbmm(.tensor(input), .tensor(self), .tensor(other))
  }

  /// Eigenvalues [..., n], in rising order, and orthonormal eigenvectors, in the columns of [..., n, n], of symmetric matrices
  /// [..., n, n], of which the lower triangle is read (`torch.linalg.eigh`).
  public func eigh() -> (values: Tensor, vectors: Tensor) {
    let results = Op.eigh.results(.tensor(self), .string("L"))
    return (results[0]!, results[1]!)
  }
}
