// Arithmetic broadcasts and promotes dtypes as PyTorch does. `a += b` rebinds `a` to a new tensor. An operation that changes
// storage has a name that says so (`addInPlace`).
extension Tensor {
  public static func + (a: Tensor, b: Tensor) -> Tensor { Op.add(a, b) }
  public static func + (a: Tensor, b: some ScalarConvertible) -> Tensor { Op.addScalar(.tensor(a), .scalar(b.scalar)) }
  public static func + (a: some ScalarConvertible, b: Tensor) -> Tensor { Op.addScalar(.tensor(b), .scalar(a.scalar)) }
  public static func - (a: Tensor, b: Tensor) -> Tensor { Op.sub(a, b) }
  public static func - (a: Tensor, b: some ScalarConvertible) -> Tensor { Op.subScalar(.tensor(a), .scalar(b.scalar)) }
  public static func - (a: some ScalarConvertible, b: Tensor) -> Tensor { Op.rsubScalar(.tensor(b), .scalar(a.scalar)) }
  public static func * (a: Tensor, b: Tensor) -> Tensor { Op.mul(a, b) }
  public static func * (a: Tensor, b: some ScalarConvertible) -> Tensor { Op.mulScalar(.tensor(a), .scalar(b.scalar)) }
  public static func * (a: some ScalarConvertible, b: Tensor) -> Tensor { Op.mulScalar(.tensor(b), .scalar(a.scalar)) }
  public static func / (a: Tensor, b: Tensor) -> Tensor { Op.div(a, b) }
  public static func / (a: Tensor, b: some ScalarConvertible) -> Tensor { Op.divScalar(.tensor(a), .scalar(b.scalar)) }
  public static func / (a: some ScalarConvertible, b: Tensor) -> Tensor { Op.reciprocal(b) * a }
  public static prefix func - (a: Tensor) -> Tensor { Op.neg(a) }

  public static func += (a: inout Tensor, b: Tensor) { a = a + b }
  public static func -= (a: inout Tensor, b: Tensor) { a = a - b }
  public static func *= (a: inout Tensor, b: Tensor) { a = a * b }
  public static func /= (a: inout Tensor, b: Tensor) { a = a / b }

  /// Returns `self + alpha * other` in one pass over memory (`torch.add` with alpha).
  public func adding(_ other: Tensor, alpha: Double) -> Tensor { Op.add(.tensor(self), .tensor(other), .double(alpha)) }

  /// Returns `self + a * b` in one pass over memory (`torch.addcmul`).
  public func addingProduct(_ a: Tensor, _ b: Tensor) -> Tensor { Op.addcmul(.tensor(self), .tensor(a), .tensor(b)) }

  /// Returns the remainder with the divisor's sign (`torch.remainder`).
  public func remainder(_ divisor: some ScalarConvertible) -> Tensor { Op.remainder(.tensor(self), .scalar(divisor.scalar)) }

  /// Returns the quotient, rounded down (`torch.floor_divide`).
  public func floorDivided(by divisor: some ScalarConvertible) -> Tensor { Op.floorDivide(.tensor(self), .scalar(divisor.scalar)) }

  /// Raises each element to a power (`torch.pow`).
  public func pow(_ exponent: some ScalarConvertible) -> Tensor { Op.pow(.tensor(self), .scalar(exponent.scalar)) }

  // MARK: Pointwise functions, by PyTorch's names

  public func abs() -> Tensor { Op.abs(self) }
  /// Returns the sign of each element: -1, 0 or 1 (`torch.sign`).
  public func sign() -> Tensor { Op.sign(self) }
  public func exp() -> Tensor { Op.exp(self) }
  public func log() -> Tensor { Op.log(self) }
  public func sqrt() -> Tensor { Op.sqrt(self) }
  public func rsqrt() -> Tensor { Op.rsqrt(self) }
  public func square() -> Tensor { Op.square(self) }
  public func sin() -> Tensor { Op.sin(self) }
  public func cos() -> Tensor { Op.cos(self) }
  public func tanh() -> Tensor { Op.tanh(self) }
  public func sigmoid() -> Tensor { Op.sigmoid(self) }
  public func floor() -> Tensor { Op.floor(self) }
  public func ceil() -> Tensor { Op.ceil(self) }
  /// Rounds to whole numbers, and halves to the even neighbour (`torch.round`, IEEE).
  public func rounded() -> Tensor { Op.round(self) }
  /// Returns the larger value for each element (`torch.maximum`).
  public func maximum(_ other: Tensor) -> Tensor { Op.maximum(self, other) }
  /// Returns the smaller value for each element (`torch.minimum`).
  public func minimum(_ other: Tensor) -> Tensor { Op.minimum(self, other) }

  /// Clamps each element to a range of numbers (`torch.clamp`).
  public func clamped(to range: ClosedRange<Double>) -> Tensor {
    Op.clamp(.tensor(self), .double(range.lowerBound), .double(range.upperBound))
  }

  public func clamped(to range: PartialRangeFrom<Double>) -> Tensor { Op.clamp(.tensor(self), .double(range.lowerBound)) }
  public func clamped(to range: PartialRangeThrough<Double>) -> Tensor { Op.clamp(.tensor(self), .none, .double(range.upperBound)) }

  /// Clamps each element between two tensors that broadcast to this tensor's shape (`torch.clamp`).
  public func clamped(between low: Tensor, and high: Tensor) -> Tensor {
    Op.clampTensor(.tensor(self), .tensor(low), .tensor(high))
  }

  // MARK: Linear algebra

  /// Returns the matrix product, batched over the leading dimensions (`torch.matmul`).
  public func matmul(_ other: Tensor) -> Tensor { Op.matmul(self, other) }

  /// Returns `input + self.matmul(other)` for batches of matrices in one pass (`torch.baddbmm`).
  public func matmul(_ other: Tensor, addingTo input: Tensor) -> Tensor {
    Op.baddbmm(.tensor(input), .tensor(self), .tensor(other))
  }

  /// Returns the scalar product of two vectors (`torch.dot`).
  public func dot(_ other: Tensor) -> Tensor { Op.dot(self, other) }

  /// Returns ascending eigenvalues and eigenvectors as columns of the lower triangle of matrices [..., n, n] (`torch.linalg.eigh`).
  public func eigh() -> (values: Tensor, vectors: Tensor) { Op.eigh.pair(.tensor(self), .string("L")) }
}
