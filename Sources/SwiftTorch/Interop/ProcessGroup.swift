import CTorchShim

/// Processes that work on one job and combine tensors (`torch.distributed`), over Gloo.
public final class ProcessGroup {
  private let handle: ts_process_group
  /// This process's number, from 0.
  public let rank: Int
  public let size: Int

  /// How members' values are combined.
  public enum Combination: Int32, Sendable {
    case sum = 0
    case product = 2
    case minimum = 3
    case maximum = 4
  }

  /// Joins the group that meets at a file, and waits for all its members.
  ///
  /// - Parameters:
  ///   - path: a file on a disk all members see, not there before the first of them arrives.
  ///   - timeout: seconds to wait for the others, here and in every operation.
  /// - Throws: `TorchError` when the others do not come or this libtorch has no Gloo.
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

  /// Replaces the tensor by the combination of all members' tensors, in place.
  public func allReduce(_ tensor: Tensor, _ combination: Combination = .sum) throws(TorchError) {
    try TorchError.check(ts_process_group_all_reduce(handle, tensor.handle, combination.rawValue))
  }

  /// Replaces the tensor by the root's, in place.
  public func broadcast(_ tensor: Tensor, from root: Int = 0) throws(TorchError) {
    try TorchError.check(ts_process_group_broadcast(handle, tensor.handle, Int32(root)))
  }

  /// Waits until all members are here.
  public func barrier() throws(TorchError) { try TorchError.check(ts_process_group_barrier(handle)) }
}
