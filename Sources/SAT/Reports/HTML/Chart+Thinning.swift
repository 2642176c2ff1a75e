/// Charts with fewer points, so that a browser can draw the page.
extension Chart {
  /// The most points of a line: more than the columns of a wide screen.
  static let pointLimit = 2000
  /// The most rows and columns of a heatmap or surface.
  static let gridLimit = 256

  /// The chart with at most `pointLimit` points per series. The first and last points and the extremes of every stretch stay.
  var thinned: Chart {
    var result = self
    result.series = series.map(\.thinned)
    let (before, after) = (series.reduce(0) { $0 + $1.size }, result.series.reduce(0) { $0 + $1.size })
    if after < before { result.note += " Drawn from \(after) of \(before) points; `sat report --csv` writes them all." }
    return result
  }
}

extension Chart.Series {
  fileprivate var size: Int { z.map { $0.reduce(0) { $0 + $1.count } } ?? y.count }

  fileprivate var thinned: Chart.Series {
    var result = self
    if let z {
      let (rows, columns) = (Self.spread(y.count), Self.spread(x.count))
      result.x = columns.map { x[$0] }
      result.y = rows.map { y[$0] }
      result.z = rows.map { row in columns.map { z[row][$0] } }
    } else if y.count > Chart.pointLimit {
      let kept = extremes()
      func picked(_ values: [Double]) -> [Double] { kept.map { values[$0] } }
      result.x = picked(x)
      result.y = picked(y)
      result.low = low.map(picked)
      result.high = high.map(picked)
    }
    return result
  }

  /// Returns the positions of the smallest and the largest value in each of equal stretches, so that a spike stays visible.
  private func extremes() -> [Int] {
    let stretches = Chart.pointLimit / 2 - 1
    var kept: Set<Int> = [0, y.count - 1]
    for s in 0..<stretches {
      let range = s * y.count / stretches..<(s + 1) * y.count / stretches
      // A comparison with NaN is false, so a gap stays only at the start of its stretch.
      if let least = range.min(by: { y[$0] < y[$1] }) { kept.insert(least) }
      if let greatest = range.max(by: { y[$0] < y[$1] }) { kept.insert(greatest) }
    }
    return kept.sorted()
  }

  /// Returns at most `gridLimit` of `count` positions, evenly spread, with both ends.
  private static func spread(_ count: Int) -> [Int] {
    count <= Chart.gridLimit ? Array(0..<count) : (0..<Chart.gridLimit).map { $0 * (count - 1) / (Chart.gridLimit - 1) }
  }
}
