extension Tensor {
  /// Makes a 0-dimensional tensor.
  public convenience init(_ value: some TensorElement) { self.init([value], shape: []) }

  /// Makes a matrix from rows of equal length.
  public convenience init<Element: TensorElement>(_ rows: [[Element]]) {
    let width = rows.first?.count ?? 0
    require(rows.allSatisfy { $0.count == width }, "Tensor of rows: every row must have \(width) elements")
    self.init(rows.flatMap { $0 }, shape: [rows.count, width])
  }

  /// Makes a tensor of zeros (`torch.zeros`).
  public static func zeros(_ shape: [Int], dtype: DType = .float32, device: Device = .cpu) -> Tensor {
    full(shape, 0, dtype: dtype, device: device)
  }

  public static func zeros(_ shape: Int..., dtype: DType = .float32, device: Device = .cpu) -> Tensor {
    full(shape, 0, dtype: dtype, device: device)
  }

  /// Makes a tensor of ones (`torch.ones`).
  public static func ones(_ shape: [Int], dtype: DType = .float32, device: Device = .cpu) -> Tensor {
    full(shape, 1, dtype: dtype, device: device)
  }

  public static func ones(_ shape: Int..., dtype: DType = .float32, device: Device = .cpu) -> Tensor {
    full(shape, 1, dtype: dtype, device: device)
  }

  /// Makes a tensor with one value in every element (`torch.full`).
  public static func full(_ shape: [Int], _ value: some ScalarConvertible, dtype: DType = .float32, device: Device = .cpu) -> Tensor
  {
    Op.full(.ints(shape), .scalar(value.scalar), .dtype(dtype), .none, .device(device))
  }

  /// Makes a tensor without setting its elements (`torch.empty`).
  public static func empty(_ shape: [Int], dtype: DType = .float32, device: Device = .cpu) -> Tensor {
    Op.empty(.ints(shape), .dtype(dtype), .none, .device(device))
  }

  /// Makes zeros with the shape, dtype, device and memory format of `other` (`torch.zeros_like`).
  public static func zeros(like other: Tensor) -> Tensor { Op.zerosLike(other) }

  /// Makes ones with the shape, dtype, device and memory format of `other` (`torch.ones_like`).
  public static func ones(like other: Tensor) -> Tensor { Op.onesLike(other) }

  /// Fills the shape, dtype, device and memory format of `other` with one value (`torch.full_like`).
  public static func full(like other: Tensor, _ value: some ScalarConvertible) -> Tensor {
    Op.fullLike(.tensor(other), .scalar(value.scalar))
  }

  /// Returns the whole numbers of a range as int64 (`torch.arange`).
  public static func arange(_ range: Range<Int>, step: Int = 1, device: Device = .cpu) -> Tensor {
    Op.arange(.int(range.lowerBound), .int(range.upperBound), .int(step), .dtype(.int64), .none, .device(device))
  }

  /// Returns `count` evenly spaced float32 values, including both ends (`torch.linspace`).
  public static func linspace(from start: Double, to end: Double, count: Int, device: Device = .cpu) -> Tensor {
    Op.linspace(.double(start), .double(end), .int(count), .dtype(.float32), .none, .device(device))
  }

  /// Returns the identity matrix of `n` rows (`torch.eye`).
  public static func eye(_ n: Int, dtype: DType = .float32, device: Device = .cpu) -> Tensor {
    Op.eye(.int(n), .dtype(dtype), .none, .device(device))
  }

  // MARK: Random

  /// Draws from the uniform distribution on [0, 1) (`torch.rand`).
  public static func rand(_ shape: [Int], generator: Generator, dtype: DType = .float32) -> Tensor {
    Op.rand(.ints(shape), .generator(generator), .dtype(dtype), .none, .device(generator.device))
  }

  /// Draws from the standard normal distribution (`torch.randn`).
  public static func randn(_ shape: [Int], generator: Generator, dtype: DType = .float32) -> Tensor {
    Op.randn(.ints(shape), .generator(generator), .dtype(dtype), .none, .device(generator.device))
  }

  /// Draws whole numbers from a range as int64 (`torch.randint`).
  public static func randint(_ range: Range<Int>, _ shape: [Int], generator: Generator, device: Device? = nil) -> Tensor {
    Op.randint(
      .int(range.lowerBound), .int(range.upperBound), .ints(shape), .generator(generator), .dtype(.int64), .none,
      .device(device ?? generator.device))
  }

  /// Draws a random order of 0..<n as int64 (`torch.randperm`).
  public static func randperm(_ n: Int, generator: Generator) -> Tensor {
    Op.randperm(.int(n), .generator(generator), .dtype(.int64), .none, .device(generator.device))
  }

  /// Draws from the uniform distribution on a range, with the shape and dtype of `other`, packed in row-major order.
  public static func uniform(like other: Tensor, in range: ClosedRange<Double>, generator: Generator) -> Tensor {
    Tensor.empty(other.shape, dtype: other.dtype, device: generator.device)
      .uniformInPlace(in: range, generator: generator).to(other.device)
  }

  /// Draws `count` indices with the weights along the last dimension (`torch.multinomial`).
  public func multinomial(_ count: Int, replacement: Bool = false, generator: Generator) -> Tensor {
    Op.multinomial(.tensor(self), .int(count), .bool(replacement), .generator(generator))
  }
}
