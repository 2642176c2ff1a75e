internal import SwiftTorch

/// The quantiles of a per-sample number over an epoch.
struct SampleQuantiles {
  private var parts: [Tensor] = []

  mutating func add(_ values: Tensor) { parts.append(values.detached().to(.float32)) }

  /// The values since the last `take`, for a checkpoint inside an epoch.
  var state: NamedTensors { parts.isEmpty ? [] : [("statistics", Tensor.concatenated(parts))] }

  mutating func restore(_ state: NamedTensors) { parts = state.filter { $0.name == "statistics" }.map(\.tensor) }

  /// Returns the 5, 25, 50, 75 and 95 % quantiles of the values since the last call, named `psi.05` and so on for the prefix `psi`.
  ///
  /// It ignores values that are not finite, such as curvatures of a network with overflowing logits.
  mutating func take(prefix: String) -> [String: Double] {
    guard !parts.isEmpty else { return [:] }
    let values = Tensor.concatenated(parts).sorted().values.array(of: Float.self).filter(\.isFinite)
    parts = []
    if values.isEmpty { return [:] }
    return Dictionary(
      uniqueKeysWithValues: [5, 25, 50, 75, 95].map { percent in
        // The nearest rank needs no interpolation and gives a value that occurred.
        let rank = Int((Double(percent) / 100 * Double(values.count - 1)).rounded())
        return ("\(prefix).\(percent < 10 ? "0" : "")\(percent)", Double(values[rank]))
      })
  }
}
