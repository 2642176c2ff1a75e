extension Tensor {
  /// Gives the elements another shape; one size may be -1 (`torch.reshape`). The result is a view if the strides allow it.
  public func reshaped(to shape: [Int]) -> Tensor { Op.reshape(.tensor(self), .ints(shape)) }
  public func reshaped(to shape: Int...) -> Tensor { reshaped(to: shape) }

  /// Joins the dimensions from `start` to `end` (`torch.flatten`).
  public func flattened(from start: Int = 0, through end: Int = -1) -> Tensor { Op.flatten(.tensor(self), .int(start), .int(end)) }

  /// Returns a view with two dimensions exchanged (`torch.transpose`).
  public func transposed(_ a: Int, _ b: Int) -> Tensor { Op.transpose(.tensor(self), .int(a), .int(b)) }

  /// Returns a view with the dimensions in another order (`torch.permute`).
  public func permuted(_ dims: Int...) -> Tensor { Op.permute(.tensor(self), .ints(dims)) }

  /// Drops one dimension of size 1, or all of them (`torch.squeeze`).
  public func squeezed(dim: Int? = nil) -> Tensor { dim.map { Op.squeezeDim(.tensor(self), .int($0)) } ?? Op.squeeze(self) }

  /// Adds a dimension of size 1 (`torch.unsqueeze`).
  public func unsqueezed(dim: Int) -> Tensor { Op.unsqueeze(.tensor(self), .int(dim)) }

  /// Returns a view that repeats dimensions of size 1 without a copy (`expand`).
  public func expanded(to shape: [Int]) -> Tensor { Op.expand(.tensor(self), .ints(shape)) }

  /// Lays copies side by side, with one count per dimension (`repeat`).
  public func tiled(_ counts: [Int]) -> Tensor { Op.repeated(.tensor(self), .ints(counts)) }

  /// Reverses the order along dimensions (`torch.flip`).
  public func flipped(dims: [Int]) -> Tensor { Op.flip(.tensor(self), .ints(dims)) }

  /// Returns a view of the storage with the given sizes, strides and offset, in elements (`as_strided`).
  public func asStrided(size: [Int], stride: [Int], offset: Int = 0) -> Tensor {
    Op.asStrided(.tensor(self), .ints(size), .ints(stride), .int(offset))
  }

  /// Pads with a value by (before, after) pairs, from the last dimension backwards (`F.pad`).
  public func padded(_ amounts: [Int], value: Double = 0) -> Tensor {
    Op.pad(.tensor(self), .ints(amounts), .string("constant"), .double(value))
  }

  /// Moves pixels into channels: (N, C, H·r, W·r) becomes (N, C·r·r, H, W) (`F.pixel_unshuffle`).
  public func pixelUnshuffled(_ factor: Int) -> Tensor { Op.pixelUnshuffle(.tensor(self), .int(factor)) }

  // MARK: Conversion

  /// Converts to another dtype; returns this tensor itself if it already has that dtype (`to`).
  public func to(_ dtype: DType) -> Tensor { dtype == self.dtype ? self : Op.convert(.tensor(self), .dtype(dtype)) }

  /// Copies to another device; returns this tensor itself if it is already there (`to`).
  public func to(_ device: Device) -> Tensor {
    device == self.device ? self : Op.convert(.tensor(self), .none, .none, .device(device))
  }

  /// Packs the elements in a memory format; returns this tensor itself if they already are (`contiguous`).
  public func contiguous(_ format: MemoryFormat = .contiguous) -> Tensor {
    isContiguous(format) ? self : Op.contiguous(.tensor(self), .memoryFormat(format))
  }

  /// Returns a copy with its own storage (`clone`).
  public func cloned() -> Tensor { Op.clone(self) }

  /// Returns a tensor on the same storage, outside the graph (`detach`).
  public func detached() -> Tensor { Op.detach(self) }

  // MARK: Joining and splitting

  /// Joins tensors along an existing dimension (`torch.cat`).
  public static func concatenated(_ tensors: [Tensor], dim: Int = 0) -> Tensor { Op.cat(.tensors(tensors), .int(dim)) }

  /// Joins tensors along a new dimension (`torch.stack`).
  public static func stacked(_ tensors: [Tensor], dim: Int = 0) -> Tensor { Op.stack(.tensors(tensors), .int(dim)) }

  /// Splits into pieces of `size` along `dim`; the last piece may be shorter (`torch.split`).
  public func split(size: Int, dim: Int = 0) -> [Tensor] {
    Op.split.results(.tensor(self), .int(size), .int(dim)).compactMap { $0 }
  }

  /// Splits into `pieces` parts along `dim` (`torch.chunk`).
  public func chunked(_ pieces: Int, dim: Int = 0) -> [Tensor] {
    Op.chunk.results(.tensor(self), .int(pieces), .int(dim)).compactMap { $0 }
  }
}
