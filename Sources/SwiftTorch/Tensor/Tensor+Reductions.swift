extension Tensor {
  /// The sum of everything, or over `dims` (`torch.sum`).
  public func sum(dims: [Int] = [], keepDim: Bool = false) -> Tensor {
    Op.sum(.tensor(self), dims.isEmpty ? .none : .ints(dims), .bool(keepDim))
  }

  public func sum(dim: Int, keepDim: Bool = false) -> Tensor { sum(dims: [dim], keepDim: keepDim) }

  /// `torch.mean`.
  public func mean(dims: [Int] = [], keepDim: Bool = false) -> Tensor {
    Op.mean(.tensor(self), dims.isEmpty ? .none : .ints(dims), .bool(keepDim))
  }

  public func mean(dim: Int, keepDim: Bool = false) -> Tensor { mean(dims: [dim], keepDim: keepDim) }

  /// `torch.var`: divides by the count less `correction`.
  public func variance(dims: [Int] = [], correction: Int = 1, keepDim: Bool = false) -> Tensor {
    Op.variance(.tensor(self), dims.isEmpty ? .none : .ints(dims), .int(correction), .bool(keepDim))
  }

  /// `torch.std`.
  public func standardDeviation(dims: [Int] = [], correction: Int = 1, keepDim: Bool = false) -> Tensor {
    Op.standardDeviation(.tensor(self), dims.isEmpty ? .none : .ints(dims), .int(correction), .bool(keepDim))
  }

  /// The largest value, of everything or over `dims` (`torch.amax`).
  public func max(dims: [Int] = [], keepDim: Bool = false) -> Tensor { Op.amax(.tensor(self), .ints(dims), .bool(keepDim)) }

  /// The smallest value, of everything or over `dims` (`torch.amin`).
  public func min(dims: [Int] = [], keepDim: Bool = false) -> Tensor { Op.amin(.tensor(self), .ints(dims), .bool(keepDim)) }

  /// Index of the largest value along `dim`, or in the flattened tensor, as int64 (`torch.argmax`).
  public func argmax(dim: Int? = nil, keepDim: Bool = false) -> Tensor {
    Op.argmax(.tensor(self), .optional(dim), .bool(keepDim))
  }

  /// `torch.argmin`.
  public func argmin(dim: Int? = nil, keepDim: Bool = false) -> Tensor {
    Op.argmin(.tensor(self), .optional(dim), .bool(keepDim))
  }

  /// Whether all elements are nonzero, as a bool tensor (`torch.all`).
  public func all(dim: Int? = nil) -> Tensor { dim.map { Op.allDim(.tensor(self), .int($0)) } ?? Op.all(self) }

  /// Whether any element is nonzero, as a bool tensor (`torch.any`).
  public func any(dim: Int? = nil) -> Tensor { dim.map { Op.anyDim(.tensor(self), .int($0)) } ?? Op.any(self) }

  /// The product of everything (`torch.prod`).
  public func product() -> Tensor { Op.prod(self) }

  /// The vector norm of order `order` (`torch.linalg.vector_norm`).
  public func norm(_ order: Double = 2, dims: [Int] = [], keepDim: Bool = false) -> Tensor {
    Op.norm(.tensor(self), .double(order), dims.isEmpty ? .none : .ints(dims), .bool(keepDim))
  }

  /// log(sum(exp(x))) over `dim`, without overflow (`torch.logsumexp`).
  public func logSumExp(dim: Int, keepDim: Bool = false) -> Tensor { Op.logSumExp(.tensor(self), .ints([dim]), .bool(keepDim)) }

  /// Running sums along `dim` (`torch.cumsum`).
  public func cumulativeSum(dim: Int) -> Tensor { Op.cumsum(.tensor(self), .int(dim)) }

  /// The value of a one-element tensor as a Double (`item()`). Waits for the device.
  public func item() -> Double {
    require(count == 1, "item(): the tensor has shape \(shape); expected one element")
    return Op.item.double(.tensor(self))
  }

  // MARK: Order

  /// Values in order along `dim` and where they came from; equal values keep their order (`torch.sort(stable=True)`).
  public func sorted(dim: Int = -1, descending: Bool = false) -> (values: Tensor, indices: Tensor) {
    let results = Op.sort.results(.tensor(self), .bool(true), .int(dim), .bool(descending))
    return (results[0]!, results[1]!)
  }

  /// The `k` largest (or smallest) along `dim`, in order (`torch.topk`).
  public func topK(_ k: Int, dim: Int = -1, largest: Bool = true) -> (values: Tensor, indices: Tensor) {
    let results = Op.topk.results(.tensor(self), .int(k), .int(dim), .bool(largest))
    return (results[0]!, results[1]!)
  }

  /// Indices of the nonzero elements as int64 of shape [found, ndim] (`torch.nonzero`).
  public func nonzero() -> Tensor { Op.nonzero(self) }

  /// The q-quantile of all elements, linearly interpolated (`torch.quantile`).
  public func quantile(_ q: Double) -> Tensor { Op.quantile(.tensor(self), .double(q)) }
}
