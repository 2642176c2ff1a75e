extension Tensor {
  /// Returns the sum of all elements, or the sums over `dims` (`torch.sum`).
  public func sum(dims: [Int] = [], keepDim: Bool = false) -> Tensor {
    Op.sum(.tensor(self), dims.isEmpty ? .none : .ints(dims), .bool(keepDim))
  }

  public func sum(dim: Int, keepDim: Bool = false) -> Tensor { sum(dims: [dim], keepDim: keepDim) }

  /// Returns the mean of all elements, or the means over `dims` (`torch.mean`).
  public func mean(dims: [Int] = [], keepDim: Bool = false) -> Tensor {
    Op.mean(.tensor(self), dims.isEmpty ? .none : .ints(dims), .bool(keepDim))
  }

  public func mean(dim: Int, keepDim: Bool = false) -> Tensor { mean(dims: [dim], keepDim: keepDim) }

  /// Returns the variance of all elements, or over `dims` (`torch.var`). It divides by the count minus `correction`.
  public func variance(dims: [Int] = [], correction: Int = 1, keepDim: Bool = false) -> Tensor {
    Op.variance(.tensor(self), dims.isEmpty ? .none : .ints(dims), .int(correction), .bool(keepDim))
  }

  /// Returns the square root of `variance(dims:correction:keepDim:)` (`torch.std`).
  public func standardDeviation(dims: [Int] = [], correction: Int = 1, keepDim: Bool = false) -> Tensor {
    Op.standardDeviation(.tensor(self), dims.isEmpty ? .none : .ints(dims), .int(correction), .bool(keepDim))
  }

  /// Returns the largest element, or the largest over `dims` (`torch.amax`).
  public func max(dims: [Int] = [], keepDim: Bool = false) -> Tensor { Op.amax(.tensor(self), .ints(dims), .bool(keepDim)) }

  /// Returns the smallest element, or the smallest over `dims` (`torch.amin`).
  public func min(dims: [Int] = [], keepDim: Bool = false) -> Tensor { Op.amin(.tensor(self), .ints(dims), .bool(keepDim)) }

  /// Returns the index of the largest value along `dim`, or in the flattened tensor, as int64 (`torch.argmax`).
  public func argmax(dim: Int? = nil, keepDim: Bool = false) -> Tensor { Op.argmax(.tensor(self), .optional(dim), .bool(keepDim)) }

  /// Returns the index of the smallest value along `dim`, or in the flattened tensor, as int64 (`torch.argmin`).
  public func argmin(dim: Int? = nil, keepDim: Bool = false) -> Tensor { Op.argmin(.tensor(self), .optional(dim), .bool(keepDim)) }

  /// Checks if all elements are nonzero, or all along `dim`, and returns a bool tensor (`torch.all`).
  public func all(dim: Int? = nil) -> Tensor { dim.map { Op.allDim(.tensor(self), .int($0)) } ?? Op.all(self) }

  /// Checks if any element is nonzero, or any along `dim`, and returns a bool tensor (`torch.any`).
  public func any(dim: Int? = nil) -> Tensor { dim.map { Op.anyDim(.tensor(self), .int($0)) } ?? Op.any(self) }

  /// Returns the product of all elements (`torch.prod`).
  public func product() -> Tensor { Op.prod(self) }

  /// Returns the vector norm of order `order`, of all elements or over `dims` (`torch.linalg.vector_norm`).
  public func norm(_ order: Double = 2, dims: [Int] = [], keepDim: Bool = false) -> Tensor {
    Op.norm(.tensor(self), .double(order), dims.isEmpty ? .none : .ints(dims), .bool(keepDim))
  }

  /// Returns log(sum(exp(x))) over `dim` without overflow (`torch.logsumexp`).
  public func logSumExp(dim: Int, keepDim: Bool = false) -> Tensor { Op.logSumExp(.tensor(self), .ints([dim]), .bool(keepDim)) }

  /// Returns the running sums along `dim` (`torch.cumsum`).
  public func cumulativeSum(dim: Int) -> Tensor { Op.cumsum(.tensor(self), .int(dim)) }

  /// Returns the value of a one-element tensor as a Double (`item()`). It waits for the device.
  public func item() -> Double {
    require(count == 1, "item(): the tensor has shape \(shape); expected one element")
    return Op.item.double(.tensor(self))
  }

  // MARK: Order

  /// Sorts along `dim`, keeps the order of equal values, and returns the original indices too (`torch.sort(stable=True)`).
  public func sorted(dim: Int = -1, descending: Bool = false) -> (values: Tensor, indices: Tensor) {
    Op.sort.pair(.tensor(self), .bool(true), .int(dim), .bool(descending))
  }

  /// Returns the `k` largest (or smallest) values along `dim`, in order, with their indices (`torch.topk`).
  public func topK(_ k: Int, dim: Int = -1, largest: Bool = true) -> (values: Tensor, indices: Tensor) {
    Op.topk.pair(.tensor(self), .int(k), .int(dim), .bool(largest))
  }

  /// Returns the indices of the nonzero elements as int64 of shape [found, ndim] (`torch.nonzero`).
  public func nonzero() -> Tensor { Op.nonzero(self) }

  /// Returns the q-quantile of all elements with linear interpolation (`torch.quantile`).
  public func quantile(_ q: Double) -> Tensor { Op.quantile(.tensor(self), .double(q)) }
}
