// A comparison of elements returns a bool tensor. `isEqual(to:)` and `isClose(to:)` compare whole tensors. `==` does not exist,
// because a reader could not tell which of the two it does.
extension Tensor {
  public func equal(to other: Tensor) -> Tensor { Op.eq(self, other) }
  public func equal(to value: some ScalarConvertible) -> Tensor { Op.eqScalar(.tensor(self), .scalar(value.scalar)) }
  public func notEqual(to other: Tensor) -> Tensor { Op.ne(self, other) }
  public func notEqual(to value: some ScalarConvertible) -> Tensor { Op.neScalar(.tensor(self), .scalar(value.scalar)) }
  public func less(than other: Tensor) -> Tensor { Op.lt(self, other) }
  public func less(than value: some ScalarConvertible) -> Tensor { Op.ltScalar(.tensor(self), .scalar(value.scalar)) }
  public func lessOrEqual(to other: Tensor) -> Tensor { Op.le(self, other) }
  public func lessOrEqual(to value: some ScalarConvertible) -> Tensor { Op.leScalar(.tensor(self), .scalar(value.scalar)) }
  public func greater(than other: Tensor) -> Tensor { Op.gt(self, other) }
  public func greater(than value: some ScalarConvertible) -> Tensor { Op.gtScalar(.tensor(self), .scalar(value.scalar)) }
  public func greaterOrEqual(to other: Tensor) -> Tensor { Op.ge(self, other) }
  public func greaterOrEqual(to value: some ScalarConvertible) -> Tensor { Op.geScalar(.tensor(self), .scalar(value.scalar)) }

  public static func && (a: Tensor, b: Tensor) -> Tensor { Op.and(a, b) }
  public static func || (a: Tensor, b: Tensor) -> Tensor { Op.or(a, b) }
  public static prefix func ! (a: Tensor) -> Tensor { Op.not(a) }

  public func isFinite() -> Tensor { Op.isFinite(self) }
  public func isNaN() -> Tensor { Op.isNaN(self) }
  /// Replaces NaN and both infinities by `value` (`torch.nan_to_num`).
  public func replacingNonFinite(with value: Double) -> Tensor {
    Op.nanToNum(.tensor(self), .double(value), .double(value), .double(value))
  }

  /// Returns true if both tensors have the same shape and equal values. NaN is unequal to itself (`torch.equal`).
  public func isEqual(to other: Tensor) -> Bool { Op.equal.double(.tensor(self), .tensor(other)) != 0 }

  /// Returns true if every |a - b| <= absolute + relative * |b| (`torch.allclose`).
  public func isClose(to other: Tensor, relative: Double = 1e-5, absolute: Double = 1e-8) -> Bool {
    Op.allClose.double(.tensor(self), .tensor(other), .double(relative), .double(absolute)) != 0
  }

  /// Takes the elements of `other` where the bool tensor `condition` is true, and of `self` elsewhere (`torch.where`).
  public func replacing(with other: Tensor, where condition: Tensor) -> Tensor {
    Op.whereSelf(.tensor(condition), .tensor(other), .tensor(self))
  }
}
