import CTorchShim

/// A group of processes that work on one job and combine tensors over Gloo (`torch.distributed`).
public final class ProcessGroup {
  private let handle: ts_process_group
  /// The number of this process, 0 <= rank < size.
  public let rank: Int
  /// The number of processes in the group.
  public let size: Int

  /// The function that combines the members' values.
  public enum Combination: Int32, Sendable {
    case sum = 0
    case product = 2
    case minimum = 3
    case maximum = 4
  }

  /// Joins the group that meets at a file, and waits `timeout` seconds for the others, here and in every operation.
  ///
  /// All members must see the file's disk. The file must not exist before the first member arrives. Members that do not arrive, and
  /// a libtorch without Gloo, are errors.
  public init(meetingAt path: String, rank: Int, size: Int, timeout: Double = 300) throws(TorchError) {
    guard size > 0, (0..<size).contains(rank), let narrow = Int32(exactly: size) else {
      throw TorchError(.value, "rank \(rank) of a process group of \(size); expected 0 <= rank < size")
    }
    var out: ts_process_group?
    try TorchError.check(ts_process_group_new("gloo", path, Int32(rank), narrow, Int64(timeout * 1000), &out))
    handle = out!
    self.rank = rank
    self.size = size
  }

  deinit { ts_process_group_free(handle) }

  /// Replaces the tensor in place by the combination of all members' tensors (`all_reduce`).
  public func allReduce(_ tensor: Tensor, _ combination: Combination = .sum) throws(TorchError) {
    try TorchError.check(ts_process_group_all_reduce(handle, tensor.handle, combination.rawValue))
  }

  /// Replaces the tensor in place by the root's tensor (`broadcast`).
  public func broadcast(_ tensor: Tensor, from root: Int = 0) throws(TorchError) {
    try TorchError.check(ts_process_group_broadcast(handle, tensor.handle, Int32(root)))
  }

  /// Waits until all members have called this function (`barrier`).
  public func barrier() throws(TorchError) { try TorchError.check(ts_process_group_barrier(handle)) }
}
