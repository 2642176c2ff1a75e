internal import SwiftTorch

/// One remembered number per training sample.
///
/// Batches carry the samples' positions, so shuffling does not mix the numbers up.
final class SampleMemory {
  /// [training samples], float64 on the CPU.
  private(set) var values: Tensor

  init(count: Int) { values = Tensor.zeros([count], dtype: .float64) }

  /// Returns the numbers of a batch's samples [N], in the images' dtype and on their device.
  func values(of batch: TrainingBatch) -> Tensor { values.selecting(batch.indices).to(batch.images.dtype).to(batch.images.device) }

  func set(_ new: Tensor, for batch: TrainingBatch) {
    _ = withNoGrad { values.copyInPlace(from: new.detached().to(.float64).to(.cpu), at: batch.indices) }
  }

  var state: NamedTensors { [("epsilon", values)] }

  func restore(_ state: NamedTensors) throws(TorchError) {
    values = try state.required("epsilon", shape: values.shape).to(.float64).cloned()
  }
}
