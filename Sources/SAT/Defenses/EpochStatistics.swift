internal import SwiftTorch

/// Quantiles of a per-sample number over the epoch.
struct Quantiles {
  private var parts: [Tensor] = []

  mutating func add(_ values: Tensor) { parts.append(values.detached().to(.float32)) }

  /// The 5, 25, 50, 75 and 95 % quantiles of what was added since the last call: `psi.05` for a prefix of psi.
  mutating func take(prefix: String) -> [String: Double] {
    guard !parts.isEmpty else { return [:] }
    let values = Tensor.concatenated(parts).sorted().values.array(of: Float.self)
    parts = []
    return Dictionary(
      uniqueKeysWithValues: [5, 25, 50, 75, 95].map { percent in
        // The nearest rank, which needs no interpolation and is a value that occurred.
        let rank = Int((Double(percent) / 100 * Double(values.count - 1)).rounded())
        return ("\(prefix).\(percent < 10 ? "0" : "")\(percent)", Double(values[rank]))
      })
  }
}

/// The mean of numbers over the epoch, by name.
struct Means {
  private var sums: [String: (sum: Double, count: Int)] = [:]

  mutating func add(_ name: String, _ value: Double, count: Int = 1) {
    let before = sums[name] ?? (0, 0)
    sums[name] = (before.sum + value, before.count + count)
  }

  /// The means of what was added since the last call.
  mutating func take() -> [String: Double] {
    defer { sums = [:] }
    return sums.mapValues { $0.sum / Double($0.count) }
  }
}
