internal import Foundation

enum StandardNormal {
  /// The half-width of a 95 % interval in standard errors: the 97.5 % quantile.
  static let reach95 = 1.959963984540054
}

/// Spearman's rank correlation: Pearson's correlation of the ranks. Equal values share the average of their ranks.
public enum Spearman {
  /// Returns the rank correlation of two series, −1…1; NaN when a series is constant, contains a NaN, or has fewer than two values.
  public static func correlation(_ a: [Double], _ b: [Double]) -> Double {
    precondition(a.count == b.count, "Spearman: series of \(a.count) and \(b.count) values")
    guard a.count >= 2, !(a + b).contains(where: \.isNaN) else { return .nan }
    let (x, y) = (ranks(a), ranks(b))
    // The mean of n ranks is always (n + 1) / 2.
    let mean = Double(a.count + 1) / 2
    var (xy, xx, yy) = (0.0, 0.0, 0.0)
    for (u, v) in zip(x, y) {
      xy += (u - mean) * (v - mean)
      xx += (u - mean) * (u - mean)
      yy += (v - mean) * (v - mean)
    }
    return xx > 0 && yy > 0 ? xy / (xx * yy).squareRoot() : .nan
  }

  /// Returns a 95 % interval for a correlation of `count` pairs; nil for fewer than four pairs or a correlation of NaN, −1 or 1.
  ///
  /// Source: Fisher's transformation with the variance (1 + r²/2)/(n − 3) of Bonett and Wright (Psychometrika 65, 2000).
  public static func interval(_ correlation: Double, count: Int) -> ClosedRange<Double>? {
    guard count > 3, abs(correlation) < 1 else { return nil }
    let half = StandardNormal.reach95 * ((1 + correlation * correlation / 2) / Double(count - 3)).squareRoot()
    return tanh(atanh(correlation) - half)...tanh(atanh(correlation) + half)
  }

  /// Returns the ranks from 1; equal values share the average of their ranks.
  public static func ranks(_ values: [Double]) -> [Double] {
    let order = values.indices.sorted { values[$0] < values[$1] }
    var ranks = Array(repeating: 0.0, count: values.count)
    var start = 0
    while start < order.count {
      var end = start
      while end + 1 < order.count, values[order[end + 1]] == values[order[start]] { end += 1 }
      for position in start...end { ranks[order[position]] = Double(start + end) / 2 + 1 }
      start = end + 1
    }
    return ranks
  }
}

/// The rule for a quantile that falls between two values.
enum QuantileRule {
  /// Takes the nearer value, so the quantile is a value that occurred.
  case nearestRank
  /// Interpolates linearly.
  case linear

  /// Returns the `q`-quantile, 0…1, of at least one value; the values are in rising order.
  func quantile(_ q: Double, of sorted: [Float]) -> Double {
    let position = q * Double(sorted.count - 1)
    switch self {
    case .nearestRank: return Double(sorted[Int(position.rounded())])
    case .linear:
      let below = Int(position)
      let low = Double(sorted[below])
      let high = Double(sorted[min(below + 1, sorted.count - 1)])
      return low + (high - low) * (position - Double(below))
    }
  }
}

/// Returns the 95 % confidence interval of a proportion (Wilson 1927).
public func wilsonInterval(_ successes: Int, of trials: Int) -> ClosedRange<Double> {
  precondition(trials > 0 && (0...trials).contains(successes), "wilsonInterval: \(successes) of \(trials)")
  let z = StandardNormal.reach95
  let (n, p) = (Double(trials), Double(successes) / Double(trials))
  let centre = (p + z * z / (2 * n)) / (1 + z * z / n)
  let half = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)).squareRoot()
  return max(0, centre - half)...min(1, centre + half)
}
