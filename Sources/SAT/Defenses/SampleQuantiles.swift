internal import SwiftTorch

/// Quantiles of a per-sample number over the epoch.
struct SampleQuantiles {
  private var parts: [Tensor] = []

  mutating func add(_ values: Tensor) { parts.append(values.detached().to(.float32)) }

  /// What was added since the last `take`, for a checkpoint in the middle of an epoch.
  var state: NamedTensors { parts.isEmpty ? [] : [("statistics", Tensor.concatenated(parts))] }

  mutating func restore(_ state: NamedTensors) {
    parts = state.filter { $0.name == "statistics" }.map(\.tensor)
  }

  /// The 5, 25, 50, 75 and 95 % quantiles of what was added since the last call: `psi.05` for a prefix of psi. What is not finite, as the
  /// curvature of a network may be whose logits overflow, is left out.
  mutating func take(prefix: String) -> [String: Double] {
    guard !parts.isEmpty else { return [:] }
    let values = Tensor.concatenated(parts).sorted().values.array(of: Float.self).filter(\.isFinite)
    parts = []
    if values.isEmpty { return [:] }
    return Dictionary(
      uniqueKeysWithValues: [5, 25, 50, 75, 95].map { percent in
        // The nearest rank, which needs no interpolation and is a value that occurred.
        let rank = Int((Double(percent) / 100 * Double(values.count - 1)).rounded())
        return ("\(prefix).\(percent < 10 ? "0" : "")\(percent)", Double(values[rank]))
      })
  }
}
