import CTorchShim

/// An n-dimensional array on a device, libtorch's `at::Tensor`.
///
/// A tensor has identity: views share storage, and a leaf that requires a gradient is the one the gradient is for. It is
/// released when its last reference goes. Not `Sendable`: move results between tasks as arrays (`array(of:)`).
///
/// Misuse (shapes that do not broadcast, a wrong dtype, an index out of range) traps with the operator's name, libtorch's message
/// and the operands' shapes.
public final class Tensor {
  let handle: ts_tensor

  /// Takes over a handle that the shim gave out.
  init(owning handle: ts_tensor) { self.handle = handle }

  deinit { ts_tensor_free(handle) }

  /// Number of dimensions (`dim()`).
  public var ndim: Int { Int(ts_tensor_ndim(handle)) }

  /// Number of elements (`numel()`).
  public var count: Int { Int(ts_tensor_count(handle)) }

  public var dtype: DType {
    guard let dtype = DType(rawValue: ts_tensor_dtype(handle)) else {
      fatalError("a tensor of c10 scalar type \(ts_tensor_dtype(handle)), which SwiftTorch has no DType for")
    }
    return dtype
  }

  public var device: Device { Device(abi: ts_tensor_device(handle)) }

  /// Whether the elements lie densely in row-major (or, for 4-D tensors, channels-last) order.
  public func isContiguous(_ format: MemoryFormat = .contiguous) -> Bool { ts_tensor_is_contiguous(handle, format.rawValue) }

  /// Whether both references are to the same tensor, not merely to equal ones.
  public func isSame(as other: Tensor) -> Bool { ts_tensor_is_same(handle, other.handle) }

  /// Equal for tensors that share storage.
  public var storageIdentifier: UInt64 { ts_tensor_storage_id(handle) }

  /// Size along one dimension; negative counts from the end.
  public func size(_ dim: Int) -> Int {
    let shape = shape
    let index = dim < 0 ? dim + shape.count : dim
    require(shape.indices.contains(index), "size(\(dim)): the tensor has shape \(shape)")
    return shape[index]
  }
}
