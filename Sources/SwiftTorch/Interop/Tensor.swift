import CTorchShim

/// An n-dimensional array on a device, libtorch's `at::Tensor`.
///
/// A tensor has identity: views share storage, and autograd accumulates a gradient in one specific leaf. Tensors are not
/// `Sendable`, so move results between tasks as arrays (`array(of:)`). Misuse (shapes that do not broadcast, a wrong dtype, an
/// index out of range) traps with the operator's name, libtorch's message and the operands' shapes.
public final class Tensor {
  let handle: ts_tensor

  /// Takes ownership of a handle from the shim.
  init(owning handle: ts_tensor) { self.handle = handle }

  deinit { ts_tensor_free(handle) }

  /// The number of dimensions (`dim()`).
  public var ndim: Int { Int(ts_tensor_ndim(handle)) }

  /// The number of elements (`numel()`).
  public var count: Int { Int(ts_tensor_count(handle)) }

  /// The type of the elements.
  public var dtype: DType {
    // The shim compiles only if `DType` has every scalar type of its libtorch.
    DType(rawValue: ts_tensor_dtype(handle))!
  }

  public var device: Device { Device(abi: ts_tensor_device(handle)) }

  /// Returns true if the elements are packed in row-major order, or in channels-last order for 4-D tensors.
  public func isContiguous(_ format: MemoryFormat = .contiguous) -> Bool { ts_tensor_is_contiguous(handle, format.rawValue) }

  /// Returns true if both references are to the same tensor. Equal values are not enough.
  public func isSame(as other: Tensor) -> Bool { ts_tensor_is_same(handle, other.handle) }

  /// An identifier of the storage. Tensors that share storage have the same one.
  public var storageIdentifier: UInt64 { ts_tensor_storage_id(handle) }

  /// Returns the size along one dimension. A negative dimension counts from the end.
  public func size(_ dim: Int) -> Int {
    let shape = shape
    let index = dim < 0 ? dim + shape.count : dim
    require(shape.indices.contains(index), "size(\(dim)): the tensor has shape \(shape)")
    return shape[index]
  }
}
