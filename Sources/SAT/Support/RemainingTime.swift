/// Estimates the time that work still needs, from the fractions that were finished so far.
///
/// The pace is that of the later half of the finished work, because early steps warm up and later ones may be cheaper or dearer.
package struct RemainingTime {
  private var marks: [(fraction: Double, seconds: Double)] = []
  private var last: (fraction: Double, seconds: Double)?

  package init() {}

  /// Records that `fraction` of the work, 0…1, was finished at a time in seconds.
  package mutating func record(_ fraction: Double, at seconds: Double) {
    if marks.last.map({ fraction - $0.fraction >= 0.002 }) ?? true { marks.append((fraction, seconds)) }
    last = (fraction, seconds)
  }

  /// The seconds left after the last record; nil before any progress.
  package var left: Double? {
    guard let first = marks.first, let last, last.fraction > first.fraction else { return nil }
    let middle = (first.fraction + last.fraction) / 2
    let from = marks.last { $0.fraction <= middle } ?? first
    return (1 - last.fraction) * (last.seconds - from.seconds) / (last.fraction - from.fraction)
  }
}
