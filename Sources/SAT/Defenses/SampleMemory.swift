internal import SwiftTorch

/// One remembered radius per training sample, in pixel units; shuffling does not mix them up, because batches carry positions.
final class SampleMemory {
  /// [training samples], float64 on the CPU.
  private var values: Tensor

  init(count: Int) { values = Tensor.zeros([count], dtype: .float64) }

  /// Returns the numbers of a batch's samples [N], in the images' dtype and on their device.
  func values(of batch: TrainingBatch) -> Tensor { values.selecting(batch.indices).to(batch.images.dtype).to(batch.images.device) }

  func set(_ new: Tensor, for batch: TrainingBatch) {
    _ = withNoGrad { values.copyInPlace(from: new.detached().to(.float64).to(.cpu), at: batch.indices) }
  }

  var metrics: [String: Double] { ["epsilon.mean": values.mean().item(), "epsilon.max": values.max().item()] }
  var state: NamedTensors { [("epsilon", values)] }

  func restore(_ state: NamedTensors) throws(TorchError) {
    values = try state.required("epsilon", shape: values.shape).to(.float64).cloned()
  }
}

/// The quantiles of a per-sample number over an epoch.
struct SampleQuantiles {
  private var parts: [Tensor] = []

  mutating func add(_ values: Tensor) { parts.append(values.detached().to(.float32)) }

  /// The values since the last `take`, for a checkpoint inside an epoch.
  var state: NamedTensors { parts.isEmpty ? [] : [("statistics", Tensor.concatenated(parts))] }

  mutating func restore(_ state: NamedTensors) { parts = state.filter { $0.name == "statistics" }.map(\.tensor) }

  /// Returns the 5, 25, 50, 75 and 95 % quantiles of the finite values since the last call, named `psi.05` and so on.
  mutating func take(prefix: String) -> [String: Double] {
    defer { parts = [] }
    let values = parts.isEmpty ? [] : Tensor.concatenated(parts).sorted().values.array(of: Float.self).filter(\.isFinite)
    if values.isEmpty { return [:] }
    return Dictionary(
      uniqueKeysWithValues: ["05", "25", "50", "75", "95"].map { percent in
        ("\(prefix).\(percent)", QuantileRule.nearestRank.quantile(Double(percent)! / 100, of: values))
      })
  }
}
