// These operations change the storage and every view of it. Each returns the tensor itself.
extension Tensor {
  /// Adds `alpha * other` (`add_`). Tensors of whole numbers accept only an `alpha` of 1.
  @discardableResult public func addInPlace(_ other: Tensor, alpha: Double = 1) -> Tensor {
    // libtorch refuses every floating-point alpha for whole numbers, even 1.0.
    alpha == 1 ? Op.addInPlace(self, other) : Op.addInPlace(.tensor(self), .tensor(other), .double(alpha))
  }

  /// Multiplies every element by a factor (`mul_`).
  @discardableResult public func multiplyInPlace(by factor: some ScalarConvertible) -> Tensor {
    Op.mulInPlace(.tensor(self), .scalar(factor.scalar))
  }

  @discardableResult public func multiplyInPlace(by factor: Tensor) -> Tensor { Op.mulTensorInPlace(self, factor) }

  /// Adds `value * a * b` (`addcmul_`).
  @discardableResult public func addProductInPlace(_ a: Tensor, _ b: Tensor, value: Double) -> Tensor {
    Op.addcmulInPlace(.tensor(self), .tensor(a), .tensor(b), .double(value))
  }

  /// Adds `value * a / b` (`addcdiv_`).
  @discardableResult public func addQuotientInPlace(_ a: Tensor, _ b: Tensor, value: Double) -> Tensor {
    Op.addcdivInPlace(.tensor(self), .tensor(a), .tensor(b), .double(value))
  }

  /// Adds `weight * (end - self)` (`lerp_`).
  @discardableResult public func interpolateInPlace(to end: Tensor, weight: Double) -> Tensor {
    Op.lerpInPlace(.tensor(self), .tensor(end), .double(weight))
  }

  /// Clamps every element to a range (`clamp_`).
  @discardableResult public func clampInPlace(to range: ClosedRange<Double>) -> Tensor {
    Op.clampInPlace(.tensor(self), .double(range.lowerBound), .double(range.upperBound))
  }

  /// Copies the elements of `other`, with broadcasting and conversion (`copy_`).
  @discardableResult public func copyInPlace(from other: Tensor) -> Tensor { Op.copy(self, other) }

  /// Sets every element to 0 (`zero_`).
  @discardableResult public func zeroInPlace() -> Tensor { Op.zeroInPlace(self) }

  /// Sets every element to `value` (`fill_`).
  @discardableResult
  public func fillInPlace(_ value: some ScalarConvertible) -> Tensor { Op.fillInPlace(.tensor(self), .scalar(value.scalar)) }

  /// Copies the rows of `source` to the given indices along `dim` (`index_copy_`).
  @discardableResult public func copyInPlace(from source: Tensor, at indices: Tensor, dim: Int = 0) -> Tensor {
    Op.indexCopyInPlace(.tensor(self), .int(dim), .tensor(indices), .tensor(source))
  }

  /// Writes each element of `source` at its own position along a dimension (`torch.Tensor.scatter_`).
  @discardableResult public func scatterInPlace(_ source: Tensor, dim: Int, at indices: Tensor) -> Tensor {
    Op.scatterSourceInPlace(.tensor(self), .int(dim), .tensor(indices), .tensor(source))
  }

  /// Writes one value at positions along a dimension (`torch.Tensor.scatter_`).
  @discardableResult public func scatterInPlace(_ value: some ScalarConvertible, dim: Int, at indices: Tensor) -> Tensor {
    Op.scatterInPlace(.tensor(self), .int(dim), .tensor(indices), .scalar(value.scalar))
  }

  /// Draws every element from the uniform distribution on a range (`uniform_`).
  @discardableResult public func uniformInPlace(in range: ClosedRange<Double>, generator: Generator) -> Tensor {
    Op.uniform(.tensor(self), .double(range.lowerBound), .double(range.upperBound), .generator(generator))
  }

  /// Draws every element from a normal distribution (`normal_`).
  @discardableResult public func normalInPlace(mean: Double = 0, standardDeviation: Double = 1, generator: Generator) -> Tensor {
    Op.normal(.tensor(self), .double(mean), .double(standardDeviation), .generator(generator))
  }

  /// Draws every element as 1 with probability `p`, and as 0 otherwise (`bernoulli_`).
  @discardableResult public func bernoulliInPlace(_ p: Double, generator: Generator) -> Tensor {
    Op.bernoulli(.tensor(self), .double(p), .generator(generator))
  }
}
