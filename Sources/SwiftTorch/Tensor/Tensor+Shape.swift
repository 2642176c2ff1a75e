extension Tensor {
  /// The same elements in another shape; one size may be -1 (`torch.reshape`). A view where the strides allow it.
  public func reshaped(to shape: [Int]) -> Tensor { Op.reshape(.tensor(self), .ints(shape)) }
  public func reshaped(to shape: Int...) -> Tensor { reshaped(to: shape) }

  /// Joins the dimensions from `start` to `end` (`torch.flatten`).
  public func flattened(from start: Int = 0, through end: Int = -1) -> Tensor {
    Op.flatten(.tensor(self), .int(start), .int(end))
  }

  /// A view with two dimensions exchanged (`torch.transpose`).
  public func transposed(_ a: Int, _ b: Int) -> Tensor { Op.transpose(.tensor(self), .int(a), .int(b)) }

  /// A view with the dimensions in another order (`torch.permute`).
  public func permuted(_ dims: Int...) -> Tensor { Op.permute(.tensor(self), .ints(dims)) }

  /// Drops dimensions of size 1, all of them or one (`torch.squeeze`).
  public func squeezed(dim: Int? = nil) -> Tensor { dim.map { Op.squeezeDim(.tensor(self), .int($0)) } ?? Op.squeeze(self) }

  /// Adds a dimension of size 1 (`torch.unsqueeze`).
  public func unsqueezed(dim: Int) -> Tensor { Op.unsqueeze(.tensor(self), .int(dim)) }

  /// A view that repeats dimensions of size 1 without copying (`expand`).
  public func expanded(to shape: [Int]) -> Tensor { Op.expand(.tensor(self), .ints(shape)) }

  /// Copies laid side by side, so many along each dimension (`repeat`).
  public func tiled(_ counts: [Int]) -> Tensor { Op.repeated(.tensor(self), .ints(counts)) }

  /// Reverses the order along dimensions (`torch.flip`).
  public func flipped(dims: [Int]) -> Tensor { Op.flip(.tensor(self), .ints(dims)) }

  /// A view of the storage with given sizes and steps, in elements (`as_strided`).
  public func asStrided(size: [Int], stride: [Int], offset: Int = 0) -> Tensor {
    Op.asStrided(.tensor(self), .ints(size), .ints(stride), .int(offset))
  }

  /// Pads the last dimensions with a value, given from the last dimension backwards as (before, after) pairs (`F.pad`).
  public func padded(_ amounts: [Int], value: Double = 0) -> Tensor {
    Op.pad(.tensor(self), .ints(amounts), .string("constant"), .double(value))
  }

  /// (N, C, H·r, W·r) to (N, C·r·r, H, W) (`F.pixel_unshuffle`).
  public func pixelUnshuffled(_ factor: Int) -> Tensor { Op.pixelUnshuffle(.tensor(self), .int(factor)) }

  // MARK: Conversion

  /// Converted to another dtype; this tensor itself when it already has it (`to`).
  public func to(_ dtype: DType) -> Tensor { dtype == self.dtype ? self : Op.convert(.tensor(self), .dtype(dtype)) }

  /// On another device; this tensor itself when it is already there.
  public func to(_ device: Device) -> Tensor {
    device == self.device ? self : Op.convert(.tensor(self), .none, .none, .device(device))
  }

  /// Dense in a memory format; this tensor itself when it already is (`contiguous`).
  public func contiguous(_ format: MemoryFormat = .contiguous) -> Tensor {
    isContiguous(format) ? self : Op.contiguous(.tensor(self), .memoryFormat(format))
  }

  /// A copy with storage of its own (`clone`).
  public func cloned() -> Tensor { Op.clone(self) }

  /// The same storage, outside the graph (`detach`).
  public func detached() -> Tensor { Op.detach(self) }

  // MARK: Joining and splitting

  /// Along an existing dimension (`torch.cat`).
  public static func concatenated(_ tensors: [Tensor], dim: Int = 0) -> Tensor { Op.cat(.tensors(tensors), .int(dim)) }

  /// Along a new dimension (`torch.stack`).
  public static func stacked(_ tensors: [Tensor], dim: Int = 0) -> Tensor { Op.stack(.tensors(tensors), .int(dim)) }

  /// Pieces of `size` along `dim`, the last one shorter where it does not divide (`torch.split`).
  public func split(size: Int, dim: Int = 0) -> [Tensor] {
    Op.split.results(.tensor(self), .int(size), .int(dim)).compactMap { $0 }
  }

  /// `torch.chunk`.
  public func chunked(_ pieces: Int, dim: Int = 0) -> [Tensor] {
    Op.chunk.results(.tensor(self), .int(pieces), .int(dim)).compactMap { $0 }
  }
}
